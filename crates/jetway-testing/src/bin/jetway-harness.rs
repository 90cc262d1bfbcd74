//! The test harness for scripts: what the tests use, and a server that runs until it is told to stop.

use std::io::{self, Write};
use std::process::ExitCode;

use jetway_server::{Finder, NatsServer};
use jetway_testing::{GoTool, python_with};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
What Jetway's tests use, for scripts. Whatever is missing is installed into the cache first.

Usage:
  jetway-harness nats-server          print the path of the nats-server
  jetway-harness python PACKAGE...    print the path of a Python interpreter that has the packages
  jetway-harness jaeger               print the path of Jaeger, which Go builds
  jetway-harness nats                 print the path of the command nats, which Go builds
  jetway-harness serve                start a nats-server with the project's nats.conf; print its address, process id
                                      and directory, a line each; run until Ctrl-C or the end of this process

Example:
  export NATS_SERVER_BIN=$(cargo run -q -p jetway-testing --bin jetway-harness -- nats-server)

Exit status: 0 done, 1 failed, 2 wrong usage.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["nats-server"] => nats_server(),
        ["python", ref packages @ ..] if !packages.is_empty() => python(packages).await,
        ["jaeger"] => go_tool(GoTool::Jaeger),
        ["nats"] => go_tool(GoTool::Nats),
        ["serve"] => serve().await,
        ["-h" | "--help"] => print(USAGE),
        _ => {
            tell(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn nats_server() -> Done {
    let binary = Finder::from_env()?.find_or_install(&mut |note| tell(&format!("{note}\n")))?;
    print(&format!("{}\n", binary.path.display()))
}

async fn python(packages: &[&str]) -> Done {
    let python = python_with(packages).await?;
    print(&format!("{}\n", python.display()))
}

fn go_tool(tool: GoTool) -> Done {
    let path = tool.find_or_build(&mut |note| tell(&format!("{note}\n")))?;
    print(&format!("{}\n", path.display()))
}

async fn serve() -> Done {
    let mut server = NatsServer::builder().progress(|note| tell(&format!("{note}\n"))).start().await?;
    let directory = server.log_path();
    let directory = directory.parent().unwrap_or(&directory);
    // Whoever reads the address may send Ctrl-C at once: in the background of a shell it would be ignored until somebody listens.
    let mut interrupted = signal(SignalKind::interrupt())?;
    print(&format!("{}\n{}\n{}\n", server.url(), server.pid().unwrap_or_default(), directory.display()))?;
    interrupted.recv().await;
    Ok(server.stop().await?)
}

fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[expect(clippy::print_stderr, reason = "notes and errors of a command line program go to standard error")]
fn tell(text: &str) {
    eprint!("{text}");
}
