//! Compare-and-swap, one by one and in groups.

use crate::support::{DEADLINE, backend, config, connect, loaded, run, write};
use futures::{StreamExt as _, stream};
use jetway_engine::backend::{BackendErrorKind, SnapshotStore};
use jetway_nats::{Grouping, NatsBackend, WriteConfig};
use std::collections::BTreeSet;
use tokio::time::timeout;

const ALL: [Grouping; 3] = [Grouping::Measure, Grouping::Never, Grouping::Always];

async fn grouping(grouping: Grouping) -> NatsBackend {
    let mut config = config("commits").await;
    config.writes = WriteConfig { grouping, ..WriteConfig::default() };
    connect(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_replaces_only_the_revision_that_it_names() {
    let backend = backend("cas").await;
    let run = run("a");
    assert_eq!(loaded(&backend, &run).await, None);
    let first = backend.commit(write(&run, 0, "one")).await.unwrap();
    assert_eq!(loaded(&backend, &run).await, Some(("one".to_owned(), first)));
    let second = backend.commit(write(&run, first, "two")).await.unwrap();
    assert!(second > first);
    for wrong in [0, first, second + 1] {
        let refused = backend.commit(write(&run, wrong, "three")).await.unwrap_err();
        assert_eq!(refused.kind(), BackendErrorKind::Conflict, "{refused}");
        assert!(refused.to_string().contains("run pay/a"), "{refused}");
    }
    assert_eq!(loaded(&backend, &run).await, Some(("two".to_owned(), second)));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commits_get_their_own_revisions() {
    for grouping in ALL {
        let backend = self::grouping(grouping).await;
        let rounds = 4;
        let runs: Vec<_> = (0..500).map(|number| run(&format!("r{number}"))).collect();
        let commits = stream::iter(&runs).map(|run| {
            let backend = &backend;
            async move {
                let mut revision = 0;
                for round in 0..rounds {
                    revision = backend.commit(write(run, revision, &format!("{run} {round}"))).await.unwrap();
                }
                revision
            }
        });
        let revisions: Vec<u64> = timeout(DEADLINE, commits.buffered(runs.len()).collect())
            .await
            .expect("the commits are too slow");
        assert_eq!(revisions.iter().collect::<BTreeSet<_>>().len(), runs.len(), "{grouping:?}");
        for (run, revision) in runs.iter().zip(revisions) {
            let expected = Some((format!("{run} {}", rounds - 1), revision));
            assert_eq!(loaded(&backend, run).await, expected, "{grouping:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_a_group_affects_only_its_own_write() {
    for grouping in ALL {
        let backend = self::grouping(grouping).await;
        let runs: Vec<_> = (0..200).map(|number| run(&format!("r{number}"))).collect();
        let commit = |number: usize| {
            // Every seventh write names a revision that does not exist.
            let expected = if number % 7 == 3 { 999_999 } else { 0 };
            backend.commit(write(&runs[number], expected, "x"))
        };
        let outcomes: Vec<_> = stream::iter(0..runs.len()).map(commit).buffered(runs.len()).collect().await;
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let there = loaded(&backend, &runs[number]).await.map(|(_, revision)| revision);
            match outcome {
                Ok(revision) => {
                    assert_ne!(number % 7, 3, "{grouping:?}");
                    assert_eq!(there, Some(revision), "{grouping:?}");
                }
                Err(error) => {
                    assert_eq!(number % 7, 3, "{grouping:?}: {error}");
                    assert!(error.is_conflict(), "{error}");
                    assert_eq!(there, None, "{grouping:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writers_of_a_revision_wins() {
    for grouping in ALL {
        let backend = self::grouping(grouping).await;
        let run = run("contended");
        let first = backend.commit(write(&run, 0, "first")).await.unwrap();
        let commit = |number: usize| backend.commit(write(&run, first, &format!("writer {number}")));
        let outcomes: Vec<_> = stream::iter(0..50)
            .map(|number| async move { (number, commit(number).await) })
            .buffer_unordered(50)
            .collect()
            .await;
        let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{grouping:?}");
        let (number, outcome) = winners[0];
        let expected = Some((format!("writer {number}"), *outcome.as_ref().unwrap()));
        assert_eq!(loaded(&backend, &run).await, expected);
        assert!(
            outcomes
                .iter()
                .filter_map(|(_, outcome)| outcome.as_ref().err())
                .all(|error| error.is_conflict())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_large_snapshot_is_refused_before_it_is_sent() {
    let backend = backend("large").await;
    let most = backend.max_snapshot();
    assert!(most > 900_000, "{most}");
    let fits = backend.commit(write(&run("fits"), 0, &"x".repeat(most))).await;
    assert!(fits.is_ok(), "{fits:?}");
    let refused = backend.commit(write(&run("large"), 0, &"x".repeat(most + 1))).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::TooLarge);
    assert_eq!(loaded(&backend, &run("large")).await, None);
}
