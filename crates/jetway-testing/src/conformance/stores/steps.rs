//! `step_distributed` and `StepCallbacks`.

use super::{
    Stores,
    faulty::{FaultyContexts, FaultyQueue},
    harness::{Harness, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Ctx, Fan, Joined, Line, LineWorkItem, busy},
};
use crate::{conformance::DEADLINE, wait_until};
use async_trait::async_trait;
use jetway_core::{
    StepCallbacks, WorkQueue, Workflow,
    distributed::{ContextStore as _, ItemProcessedOutcome},
};
use jetway_state::{Error, run::Status};
use std::sync::{Arc, Mutex};

/// An empty queue is no error, and nobody is told anything.
pub(super) async fn an_empty_queue_is_no_step<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    assert_eq!(harness.step(&callbacks).await.unwrap(), None);
    assert_eq!(callbacks.lines(), [""; 0]);
}

/// What comes of each item is told: that it starts, that it is done, and what ended the run.
pub(super) async fn what_comes_of_an_item_is_told<S: Stores>(stores: S) {
    let (line, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    line.start("r", 1).await;
    assert_eq!(line.drive("r", &callbacks).await, Ok(4));
    let expected = [
        "One(1) starts",
        "One(1) is done",
        "Two(2) starts",
        "Two(2) is done",
        "Three(3) starts",
        "Three(3) outputs 4",
    ];
    assert_eq!(callbacks.lines(), expected);
}

/// An item that held, and one that begot nothing, are done like any other.
pub(super) async fn holding_is_success<S: Stores>(stores: S) {
    let (joined, callbacks) = (Harness::new(&stores, &Joined::new(2)), RecordingCallbacks::new());
    joined.start("r", 2).await;
    assert_eq!(joined.drive("r", &callbacks).await, Ok(1));
    let expected = ["Open(2) is done", "Collect(0) is done", "Collect(1) outputs 1"];
    let done: Vec<_> = callbacks.lines().into_iter().filter(|line| !line.ends_with("starts")).collect();
    assert_eq!(done, expected);
    let (fan, callbacks) = (Harness::new(&stores, &Fan::new()), RecordingCallbacks::new());
    fan.start("nothing", 0).await;
    assert_eq!(fan.drive("nothing", &callbacks).await, Err(Error::NoOutput));
    assert_eq!(callbacks.lines(), ["Open(0) starts", "Open(0) is done"]);
}

/// What the stores hold when a callback is called: steps in the context, and the names of the items in the queue.
struct Looking<S> {
    harness: Harness<S, Line>,
    seen: Mutex<Vec<(i64, bool)>>,
}

impl<S: Stores> Looking<S> {
    async fn look(&self, run_id: &str) {
        let steps = self.harness.context(run_id).await.steps.get();
        let pending = self.harness.pending(run_id).await;
        let follows = pending.iter().any(|item| matches!(item, LineWorkItem::Two(..)));
        self.seen.lock().unwrap().push((steps, follows));
    }
}

#[async_trait]
impl<S: Stores> StepCallbacks<Ctx, Line> for Looking<S> {
    async fn on_started(&self, run_id: String, _item: LineWorkItem) -> Result<(), Error> {
        self.look(&run_id).await;
        Ok(())
    }

    async fn on_item_processed(
        &self,
        run_id: String,
        _item: LineWorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        assert!(matches!(outcome, ItemProcessedOutcome::SuccessNonTerminal), "{outcome:?}");
        self.look(&run_id).await;
        Ok(())
    }
}

/// An item is told to start before anything of it is there, and to be done when all of it is.
pub(super) async fn a_step_is_committed_before_it_is_told<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    harness.start("r", 1).await;
    let looking = Arc::new(Looking { harness: harness.elsewhere().await, seen: Mutex::default() });
    assert_eq!(harness.step_with(Arc::clone(&looking) as _).await.unwrap(), None);
    assert_eq!(*looking.seen.lock().unwrap(), [(0, false), (1, true)]);
}

/// A failure names its run and its item, is told, fails the run, and leaves nothing of the step behind.
pub(super) async fn a_failed_item_is_told_and_leaves_nothing_behind<S: Stores>(stores: S) {
    let line = Line { two: Act::new("two", |_| busy("two")), ..Line::new() };
    let (harness, callbacks) = (Harness::new(&stores, &line), RecordingCallbacks::new());
    harness.start("r", 1).await;
    assert_eq!(harness.step(&callbacks).await.unwrap(), None);
    let failed = harness.step(&callbacks).await.unwrap_err();
    assert_eq!((failed.error, failed.run_id.as_deref()), (busy::<()>("two").unwrap_err(), Some("r")));
    assert!(matches!(failed.work_item, Some(LineWorkItem::Two(_, 2))), "{:?}", failed.work_item);
    assert_eq!(callbacks.lines()[2..], ["Two(2) starts", "Two(2) has failed: Generic error: two is busy"]);
    assert_eq!(harness.context("r").await.trail().await, ["one 1"]);
    assert_eq!(harness.snapshot("r").await.status, Status::Failed);
    assert_eq!(harness.pending("r").await, []);
}

/// An item that `on_started` refuses is not executed, and comes again.
pub(super) async fn a_refused_item_is_not_executed_and_comes_again<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::refusing(1));
    harness.start("r", 1).await;
    let refused = harness.step(&callbacks).await.unwrap_err();
    assert!(refused.to_string().contains("not now"), "{refused}");
    assert!(matches!(refused.work_item, Some(LineWorkItem::One(_, 1))), "{:?}", refused.work_item);
    // It is not taken again at once: a store that fails is not asked without a pause.
    assert_eq!(harness.step(&callbacks).await.unwrap(), None);
    assert_eq!((harness.workflow.one.inputs().len(), harness.pending("r").await.len()), (0, 1));
    assert_eq!(harness.drive("r", &callbacks).await, Ok(4));
}

/// An item of a run that has no record is an error that names both, and stays in the queue.
pub(super) async fn an_item_without_a_run_is_an_error_and_stays<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    let item = harness.workflow.start_work_item(1);
    harness.queue().enqueue("r", item.clone()).await.unwrap();
    let failed = harness.step(&callbacks).await.unwrap_err();
    assert_eq!(failed.error, Error::NotStarted);
    assert_eq!((failed.run_id.as_deref(), failed.work_item.as_ref()), (Some("r"), Some(&item)));
    assert_eq!((callbacks.lines().len(), harness.pending("r").await), (0, vec![item]));
}

/// A queue that does not answer is an error without a run; nobody is told, and nothing is lost.
pub(super) async fn a_queue_that_fails_is_an_error_without_a_run<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    harness.start("r", 1).await;
    let queue = FaultyQueue::new(harness.queue());
    queue.fall_silent(1);
    let step = async || {
        let callbacks: Arc<dyn StepCallbacks<Ctx, Line>> = Arc::clone(&callbacks) as _;
        harness.workflow.step_distributed(&harness.contexts(), &queue, 0, callbacks).await
    };
    let failed = step().await.unwrap_err();
    assert!(failed.to_string().contains("no answer"), "{failed}");
    assert_eq!((failed.run_id, failed.work_item), (None, None));
    assert_eq!(callbacks.lines(), [""; 0]);
    assert_eq!(step().await.unwrap(), None);
    assert_eq!(callbacks.lines().len(), 2);
}

/// A step that was committed and whose successors did not all get into the queue is not executed again; they come.
pub(super) async fn what_was_committed_and_not_queued_is_queued_later<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Fan::new()), RecordingCallbacks::new());
    harness.start("r", 2).await;
    let queue = FaultyQueue::new(harness.queue());
    let step = async || {
        let callbacks: Arc<dyn StepCallbacks<Ctx, Fan>> = Arc::clone(&callbacks) as _;
        harness.workflow.step_distributed(&harness.contexts(), &queue, 0, callbacks).await
    };
    queue.refuse(1);
    let failed = step().await.unwrap_err();
    assert_eq!(failed.run_id.as_deref(), Some("r"));
    assert!(failed.to_string().contains("full"), "{failed}");
    for branch in [0, 1] {
        let output = wait_until("a branch ends", DEADLINE, async || step().await.unwrap()).await;
        assert_eq!(output, ("r".to_owned(), branch));
    }
    assert_eq!((harness.workflow.open.inputs(), harness.workflow.branch.inputs().len()), (vec![2], 2));
    assert_eq!(harness.context("r").await.steps.get(), 3);
}

/// An item that is delivered again after it was committed changes nothing, whoever forged or repeated it.
pub(super) async fn an_item_that_is_done_is_not_executed_again<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    harness.start("r", 1).await;
    let first = harness.pending("r").await;
    harness.step(&callbacks).await.unwrap();
    let before = harness.contexts().snapshot("r").await.unwrap();
    harness.queue().enqueue("r", first[0].clone()).await.unwrap();
    harness.queue().enqueue("r", LineWorkItem::Three("forged".to_owned(), 70)).await.unwrap();
    assert_eq!(harness.drive("r", &callbacks).await, Ok(4));
    assert_eq!((harness.workflow.one.inputs(), harness.workflow.three.inputs()), (vec![1], vec![3]));
    assert_eq!(before.map(|(record, _)| record.steps), Some(1));
    assert_eq!(harness.snapshot("r").await.steps, 3);
}

/// A store of contexts that cannot be read or written is an error with run and item. The item comes again, and what the
/// node did counts once, also over a store without records.
pub(super) async fn a_context_store_that_fails_doubles_nothing<S: Stores>(stores: S) {
    for (run, records) in [("recorded", true), ("plain", false)] {
        let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
        let (contexts, queue) = (FaultyContexts::new(harness.contexts(), records), harness.queue());
        harness.workflow.start_distributed(&started(), 1, &contexts, &queue, run).await.unwrap();
        let step = async || {
            let callbacks: Arc<dyn StepCallbacks<Ctx, Line>> = Arc::clone(&callbacks) as _;
            harness.workflow.step_distributed(&contexts, &queue, 0, callbacks).await
        };
        contexts.fall_silent(1);
        let unread = step().await.unwrap_err();
        assert!(unread.to_string().contains("no answer"), "{unread}");
        assert_eq!(unread.run_id.as_deref(), Some(run));
        assert!(matches!(unread.work_item, Some(LineWorkItem::One(_, 1))), "{:?}", unread.work_item);
        assert_eq!((harness.workflow.one.inputs().len(), harness.pending(run).await.len()), (0, 1));
        contexts.refuse(1);
        let unwritten = wait_until("the item comes again", DEADLINE, async || step().await.err()).await;
        assert!(unwritten.to_string().contains("full"), "{unwritten}");
        assert_eq!(unwritten.run_id.as_deref(), Some(run));
        assert_eq!(harness.context(run).await.steps.get(), 0);
        let ended = wait_until("the run ends", DEADLINE, async || step().await.unwrap()).await;
        assert_eq!(ended, (run.to_owned(), 4));
        assert_eq!((harness.workflow.one.inputs(), harness.workflow.two.inputs()), (vec![1, 1], vec![2]));
        assert_eq!(harness.context(run).await.trail().await, ["one 1", "two 2", "three 3"]);
        assert_eq!((harness.context(run).await.steps.get(), harness.pending(run).await), (3, vec![]));
    }
}

/// An error of `on_item_processed` is the step's, with run and item. What was committed stays, and is neither executed
/// nor told again.
pub(super) async fn an_error_of_who_is_told_undoes_nothing<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    let unheard = async || {
        callbacks.fall_deaf(1);
        let unheard = harness.step(&callbacks).await.unwrap_err();
        assert!(unheard.to_string().contains("not heard"), "{unheard}");
        assert_eq!(unheard.run_id.as_deref(), Some("r"));
        unheard.work_item.unwrap().to_string()
    };
    harness.start("r", 1).await;
    assert_eq!(unheard().await, "One(1)");
    assert_eq!((harness.snapshot("r").await.steps, harness.context("r").await.steps.get()), (1, 1));
    assert_eq!(harness.step(&callbacks).await.unwrap(), None);
    assert_eq!(unheard().await, "Three(3)");
    assert_eq!(harness.snapshot("r").await.status, Status::Completed);
    wait_until("the items have come again", DEADLINE, async || {
        assert_eq!(harness.step(&callbacks).await.unwrap(), None);
        harness.pending("r").await.is_empty()
    })
    .await;
    let Line { one, two, three } = &harness.workflow;
    assert_eq!([one, two, three].map(Act::inputs), [[1], [2], [3]]);
    assert_eq!((callbacks.lines().len(), harness.snapshot("r").await.steps), (6, 3));
}
