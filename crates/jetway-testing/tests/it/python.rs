//! A Python environment with a package from the index.

use std::process::Command;

use jetway_testing::python_with;

#[tokio::test]
async fn an_environment_has_its_package() {
    let python = python_with(&["nats-py"]).await.unwrap();
    let output = Command::new(python).args(["-c", "import nats; print(nats.__name__)"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "nats", "{output:?}");
}
