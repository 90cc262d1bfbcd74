//! Installing a server where there is none.

use jetway_server::{Finder, INSTALLED_VERSION, NatsServer, Origin};
use std::{env, fs, process::Command};

/// Set in the process that installs for the test below: the cache to install into.
const CACHE: &str = "JETWAY_TEST_INSTALL_INTO";

/// Installs in a process of its own, in whose working directory there are modules that must not be executed.
#[test]
fn h8_nothing_in_the_working_directory_is_executed() {
    if let Some(cache) = env::var_os(CACHE) {
        let found = Finder::in_cache(cache).find_or_install(&mut |_| {}).unwrap();
        assert_eq!(found.origin, Origin::Installed);
        return;
    }
    let (directory, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let marker = directory.path().join("executed");
    let module = format!("open({:?}, 'w').close()\n", marker.display().to_string());
    fs::create_dir(directory.path().join("pip")).unwrap();
    for file in ["pip/__init__.py", "pip/__main__.py", "zipfile.py", "sitecustomize.py", "usercustomize.py"] {
        fs::write(directory.path().join(file), &module).unwrap();
    }
    let installed = Command::new(env::current_exe().unwrap())
        .args(["--exact", "install::h8_nothing_in_the_working_directory_is_executed"])
        .current_dir(directory.path())
        .env(CACHE, cache.path())
        .env("PYTHONPATH", directory.path())
        .output()
        .unwrap();
    assert!(!marker.exists(), "a module in the working directory was executed");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stdout));
}

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
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1, "nothing but the server is left");

    let mut notes = Vec::new();
    let again =
        Finder::in_cache(cache.path()).find_or_install(&mut |note| notes.push(note.to_owned())).unwrap();
    assert_eq!((again.origin, notes), (Origin::Cache, vec![]));

    let server = NatsServer::builder().binary(again.path).start().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
}
