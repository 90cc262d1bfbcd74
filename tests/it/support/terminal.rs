//! A terminal of a given width, as a program sees it.

use super::DEADLINE;
use anyhow::{Context, Result};
use console::strip_ansi_codes;
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{ErrorKind, Read},
    os::unix::ffi::OsStrExt,
    process::Stdio,
};
use tokio::process::Command;

/// What a command left on a terminal.
pub(crate) struct Screen {
    /// Standard output, with its colours.
    pub(crate) raw: String,
    /// Standard output.
    pub(crate) text: String,
    /// Standard error, which is no terminal.
    pub(crate) stderr: String,
}

/// Runs a command whose standard output is a terminal of this width.
pub(crate) async fn on_terminal(columns: u16, mut command: Command) -> Result<Screen> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?;
    let slave = File::options().read(true).write(true).open(OsStr::from_bytes(path.to_bytes()))?;
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&slave, size)?;
    command.stdout(slave).stderr(Stdio::piped()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let child = command.spawn()?;
    // It holds the other end too, and reading would not end.
    drop(command);
    let reading = tokio::task::spawn_blocking(move || read_all(File::from(master)));
    let ended =
        tokio::time::timeout(DEADLINE, child.wait_with_output()).await.context("it did not end")??;
    let raw = String::from_utf8(reading.await??)?.replace("\r\n", "\n");
    let text = strip_ansi_codes(&raw).into_owned();
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    Ok(Screen { raw, text, stderr })
}

/// Reads until nobody has the other end any more, which Linux reports as an error.
fn read_all(mut master: File) -> Result<Vec<u8>> {
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match master.read(&mut part) {
            Ok(0) => return Ok(read),
            Ok(bytes) => read.extend_from_slice(&part[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                return Ok(read);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
