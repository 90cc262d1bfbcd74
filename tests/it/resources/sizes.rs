//! Values, contexts and results over the limits. `max_payload` is the server's default of 1 MiB.

use super::support::{Setup, completes, goes_on, key, limit, named, result_of};
use anyhow::{Context, Result};
use jetway_tests::resources::Job;

const MIB: usize = 1 << 20;

/// An input has to come as one message.
#[tokio::test(flavor = "multi_thread")]
async fn p9_an_oversized_input_is_refused_at_once() -> Result<()> {
    let setup = Setup::new("input").await?;
    let job = Job { ballast: "i".repeat(2 * MIB), ..Job::ordinary() };
    let asked = setup.start("work", &job, &named("asked")?).await.err().context("refused")?;
    let left = setup.publish_start("work", &job, &named("left")?).await.err().context("refused")?;
    for refused in [asked, left] {
        let sentence = refused.to_string();
        assert!(!refused.is_retryable(), "{sentence}");
        for part in ["209", "1044480", "store"] {
            assert!(sentence.contains(part), "{part} is not in: {sentence}");
        }
    }
    for id in ["asked", "left"] {
        assert!(setup.status(&key("work", id)?).await.is_err(), "{id} exists");
    }
    goes_on(&setup, "after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_large_inputs_and_values_go_beside_the_snapshot() -> Result<()> {
    let setup = Setup::new("values").await?;
    let large = [
        ("input", Job { ballast: "i".repeat(MIB * 9 / 10), ..Job::ordinary() }),
        ("value", Job { branches: 2, branch_bytes: 3 * MIB / 2, ..Job::ordinary() }),
        ("very-large", Job { branches: 1, branch_bytes: 32 * MIB, ..Job::ordinary() }),
        ("sum", Job { branches: 40, branch_bytes: MIB / 8, ..Job::ordinary() }),
    ];
    for (id, job) in large {
        setup.start("work", &job, &named(id)?).await?;
        completes(&setup, id, &job).await?;
    }
    goes_on(&setup, "after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_an_oversized_snapshot_fails_its_run_only() -> Result<()> {
    let setup = Setup::new("snapshot").await?;
    let context = Job { context_bytes: 2 * MIB, ..Job::ordinary() };
    let output = Job { output: ("o".to_owned(), 2 * MIB), ..Job::ordinary() };
    for (id, job, culprit) in [("context", context, "context"), ("output", output, "outputs")] {
        let sentence = limit(&result_of(&setup, "work", id, &job).await?)?;
        for part in [&format!("most of it is {culprit} (209"), "983040", "store"] {
            assert!(sentence.contains(part), "{part} is not in: {sentence}");
        }
        goes_on(&setup, &format!("after-{id}")).await?;
    }
    Ok(())
}

/// An output counts as JSON, in which a line break is two bytes.
#[tokio::test(flavor = "multi_thread")]
async fn p9_an_oversized_output_fails_its_step() -> Result<()> {
    let setup = Setup::new("output").await?;
    let job = Job { output: ("\n".to_owned(), 600_000), ..Job::ordinary() };
    let sentence = limit(&result_of(&setup, "work", "r", &job).await?)?;
    for part in ["most of it is outputs (120", "983040", "store"] {
        assert!(sentence.contains(part), "{part} is not in: {sentence}");
    }
    goes_on(&setup, "after").await
}
