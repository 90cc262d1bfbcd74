//! The page of the guide that shows the table.

use super::cases::CASES;
use std::{fmt::Write as _, path::PathBuf};

const ABOVE: &str = "\
The state after a host has died between any two operations, and what repairs it.

The tests of Jetway kill a host at each of these fail points, then a second time after its restart, and check the runs. In
every row, each step is committed once. A step may be executed more often: an attempt is discarded if its host dies before
the commit, and its node runs again.

The tests write this page. *Committed* is the number of committed steps in one run of the test's workflow, without steps
that wait for a child run. *Executed* is the number of attempts if the host dies once. A step that waits for a signal has two
attempts: the one that begins to wait, and the one that gets the signal.

| the host dies at | state after the death | repaired by | committed | executed |
|---|---|---|---|---|
";

pub(super) fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/jetway/docs/crash-points.md")
}

pub(super) fn page() -> String {
    let mut page = ABOVE.to_owned();
    for case in CASES {
        let (committed, least) = (case.scenario.committed(), case.scenario.executed());
        let executed = match case.wasted {
            0 => least.to_string(),
            wasted => format!("{least} to {}", least + wasted),
        };
        let (point, state, repair) = (case.point, case.state, case.repair);
        writeln!(page, "| `{point}` | {state} | {repair} | {committed} | {executed} |")
            .expect("a string takes it");
    }
    page
}
