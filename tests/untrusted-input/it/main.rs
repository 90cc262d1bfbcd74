//! Runs the corpora of the fuzz targets without a fuzzer: what was found once is not found again.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// The parser of Rust recurses, and recurses deeper where nothing is optimised.
const STACK: usize = 64 << 20;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn entries(directory: &Path) -> BTreeSet<String> {
    let found = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    found.map(|entry| name(entry).into_string().expect("a name in UTF-8")).collect()
}

/// Runs every file of a corpus; some are understood and some are not, or the corpus would not say much.
#[expect(clippy::print_stdout, reason = "shown where the test fails: the last file is the one")]
fn corpus(target: &'static str) {
    let directory = fuzz().join("corpus").join(target);
    let run = move || {
        let mut understood = Vec::new();
        for name in entries(&directory) {
            let bytes = fs::read(directory.join(&name)).expect("a file");
            println!("corpus/{target}/{name}, {} bytes", bytes.len());
            understood.push(jetway_untrusted_input::run(target, &bytes));
        }
        understood
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread");
    let understood = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(understood.len() >= 5, "{target} has {} files", understood.len());
    assert!(understood.contains(&true), "no file of {target} is understood");
    assert!(understood.contains(&false), "every file of {target} is understood");
}

macro_rules! corpora {
    ($($target:ident)+) => {
        $(
            #[test]
            fn $target() {
                corpus(stringify!($target));
            }
        )+

        #[test]
        fn every_target_has_a_corpus_and_a_test() {
            let tested = BTreeSet::from([$(stringify!($target).to_owned()),+]);
            let known = jetway_untrusted_input::TARGETS.map(|(name, _)| name.to_owned());
            assert_eq!(BTreeSet::from(known), tested);
            assert_eq!(entries(&fuzz().join("corpus")), tested);
            let files = tested.iter().map(|name| format!("{name}.rs")).collect();
            assert_eq!(entries(&fuzz().join("fuzz_targets")), files);
        }
    };
}

corpora! {
    chains chunks headers merging names node_macro requests rules snapshots starts subjects tickets workflow_macro
}

/// The numbers of a test are the same each time.
fn numbers(seed: u64) -> Vec<u8> {
    let mix = |state: u64| {
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    let state = |place: u64| (seed << 16 | place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..60).flat_map(|place| mix(state(place)).to_le_bytes()).collect()
}

/// Also where nobody runs a fuzzer.
#[test]
fn rules_hold_whatever_the_numbers_are() {
    for target in ["rules", "chains"] {
        let understood =
            (1..1500).filter(|seed| jetway_untrusted_input::run(target, &numbers(*seed))).count();
        assert!(understood > 300, "{target}: {understood}");
    }
}

/// They are kept in the repository for ever.
#[test]
fn corpora_are_small() {
    let size = |path: PathBuf| fs::metadata(path).unwrap().len();
    let of = |target: &str| {
        let directory = fuzz().join("corpus").join(target);
        entries(&directory).into_iter().map(|name| size(directory.join(name))).sum::<u64>()
    };
    let all: u64 = jetway_untrusted_input::TARGETS.iter().map(|(name, _)| of(name)).sum();
    assert!(all < 500_000, "the corpora are {all} bytes");
}
