//! How long the rules take: `apply` on the snapshots that runs have.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jetway_benches::snapshots::{attempt, chain, fanned_out, graph, next, scatter};
use jetway_state::{CommitId, run::apply};
use std::hint::black_box;

fn bench(c: &mut Criterion) {
    let graph = graph();
    let commit = CommitId { writer: 1, number: 1 };
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one successor, 400-byte context", |b| {
        b.iter_batched(
            || (chain(400), attempt("start", "step", next("step", 16))),
            |(snapshot, attempt)| black_box(apply(snapshot, attempt, commit, &graph)),
            BatchSize::SmallInput,
        );
    });
    for branches in [10, 1000] {
        group.bench_function(format!("fan-out of {branches}"), |b| {
            b.iter_batched(
                || (chain(400), attempt("start", "scatter", scatter(branches, 64))),
                |(snapshot, attempt)| black_box(apply(snapshot, attempt, commit, &graph)),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("an arrival among {branches}"), |b| {
            let snapshot = fanned_out(branches, 64);
            b.iter_batched(
                || (snapshot.clone(), attempt("start-0", "step", next("join", 64))),
                |(snapshot, attempt)| black_box(apply(snapshot, attempt, commit, &graph)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
