//! When a server that was started takes connections, and where.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

/// The file that the server's `--ports_file_dir` makes once it listens.
#[derive(Debug, Deserialize)]
struct PortsFile {
    nats: Vec<String>,
}

/// The process id in the file that the server's `-P` makes, if it is there already.
pub(crate) fn pid(pid_file: &Path) -> Option<Pid> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

/// The port that the server listens on, if its ports file is there already. A file that is still being written is as
/// good as none.
pub(crate) fn port(directory: &Path) -> Option<u16> {
    let files = fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let ports_file = files.into_iter().find(|path| path.extension().is_some_and(|it| it == "ports"))?;
    let ports: PortsFile = serde_json::from_slice(&fs::read(ports_file).ok()?).ok()?;
    ports.nats.first()?.rsplit(':').next()?.parse().ok()
}

/// Removes what an earlier server, killed perhaps, left in `directory`.
pub(crate) fn forget(directory: &Path, pid_file: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "ports") || path == pid_file {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether the server on `port` greets a client, which it does once it serves.
pub(crate) async fn greets(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        io::Result::Ok(line)
    };
    greeting.await.is_ok_and(|line| line.starts_with("INFO "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_a_complete_ports_file_only() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(port(directory.path()), None);
        let file = directory.path().join("nats-server_7.ports");
        fs::write(&file, r#"{"nats":["nats://127.0.0.1:33"#).unwrap();
        assert_eq!(port(directory.path()), None);
        fs::write(&file, r#"{"nats":["nats://127.0.0.1:33911"],"monitoring":["http://127.0.0.1:1"]}"#)
            .unwrap();
        assert_eq!(port(directory.path()), Some(33911));
    }

    #[test]
    fn what_an_earlier_server_left_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let (pid_file, other) = (directory.path().join("pid"), directory.path().join("log"));
        for file in [&pid_file, &other, &directory.path().join("nats-server_7.ports")] {
            fs::write(file, "7\n").unwrap();
        }
        assert_eq!(pid(&pid_file), Pid::from_raw(7));
        forget(directory.path(), &pid_file).unwrap();
        assert_eq!(pid(&pid_file), None);
        assert!(other.exists() && fs::read_dir(directory.path()).unwrap().count() == 1);
    }
}
