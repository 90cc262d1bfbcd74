//! The page of the guide that shows the table.

use super::cases::CASES;
use std::{fmt::Write as _, path::PathBuf};

const ABOVE: &str = "\
What is true when a host dies between any two operations, and who makes it good.

The tests of Jetway make a host die at each of these places, once and then a second time when it has come back, and look at
what became of the runs. What is committed is exact in every row. What is executed may be more: an attempt whose host dies
before the commit comes to nothing, and its node runs again.

This page is written by those tests. *Committed* counts the steps that nodes of the test's workflow committed in one run, a
step that waits for a child run not among them; *executed* the attempts at them when the host dies once.

| the host dies at | what is true then | who makes it good | committed | executed |
|---|---|---|---|---|
";

pub(super) fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/jetway/docs/crash-points.md")
}

pub(super) fn page() -> String {
    let mut page = ABOVE.to_owned();
    for case in CASES {
        let (committed, least) = (case.play.committed(), case.play.executed());
        let executed = match case.in_vain {
            0 => least.to_string(),
            in_vain => format!("{least} to {}", least + in_vain),
        };
        let (point, truth, mends) = (case.point, case.truth, case.mends);
        writeln!(page, "| `{point}` | {truth} | {mends} | {committed} | {executed} |")
            .expect("a string takes it");
    }
    page
}
