//! Running another program to its end, with an error that says what went wrong.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// How much of a failed program's output is shown: the reason comes last, and the whole has to fit a screen.
const COMPLAINT_LINES: usize = 8;

/// A program that this crate runs (`nats-server --version`, `pip`, ...) could not be started, or failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program could not be started: it is missing or may not be executed.
    #[error("`{program}` cannot be started: {source}")]
    Spawn {
        /// The program as it was named.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program ran and ended with an error.
    #[error("`{command}` failed with {status}: {output}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error stream (or, if that is empty, to standard output).
        output: String,
    },
}

/// The host's Python, isolated: it takes no module from `directory`, which is its working directory, nor from a path in the
/// environment. Otherwise a file `pip.py` in the directory in which the user is would be executed.
pub fn isolated_python(directory: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg("-I").current_dir(directory);
    command
}

/// Runs `command` to its end with an empty standard input. Returns its standard output without the white space around it.
///
/// # Errors
/// The program cannot be started, or its exit status is not 0.
pub fn run(command: &mut Command) -> Result<String, CommandError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| CommandError::Spawn {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CommandError::Failed {
        command: shown(command),
        status: output.status,
        output: last_lines(if stderr.is_empty() { &stdout } else { &stderr }, COMPLAINT_LINES).to_owned(),
    })
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> &str {
    let text = text.trim_end();
    let start = text.rmatch_indices('\n').nth(count.saturating_sub(1)).map_or(0, |(index, _)| index + 1);
    &text[start..]
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_its_complaint() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo broken >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`sh -c "), "{text}");
        assert!(text.contains("exit status: 3") && text.ends_with("broken"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("jetway-no-such-program")).unwrap_err();
        assert!(matches!(&error, CommandError::Spawn { program, .. } if program == "jetway-no-such-program"));
    }

    #[test]
    fn h8_python_takes_no_module_from_its_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("zipfile.py"), "print('hijacked')").unwrap();
        let script = "import os, zipfile; print(os.getcwd(), zipfile.__file__)";
        let said = run(isolated_python(directory.path()).args(["-c", script])).unwrap();
        let directory = directory.path().canonicalize().unwrap();
        assert!(said.starts_with(&directory.display().to_string()), "{said}");
        assert!(!said.contains("hijacked"), "{said}");
    }

    #[test]
    fn the_last_lines_are_the_last_ones() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\nb", 2), "a\nb");
        assert_eq!(last_lines("a", 5), "a");
        assert_eq!(last_lines("", 5), "");
    }

    #[test]
    fn standard_output_is_the_result() {
        assert_eq!(run(Command::new("echo").arg("hello")).unwrap(), "hello");
    }
}
