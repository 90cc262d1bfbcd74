//! The second part of the suite: what `run`, checkpoints, steps over stores, workers and orchestrators promise, and the
//! stores that they rest on.
//!
//! Its subject is a set of [`Stores`]. Where a rule is the same for `run`, `run_with_checkpoint` and
//! `step_distributed`, its case runs the workflow in all three ways and compares them. Instantiate it with
//! [`store_suite!`](crate::store_suite):
//!
//! ```
//! use jetway_testing::conformance::stores::MemoryStores;
//!
//! jetway_testing::store_suite!(async |_case: &str| MemoryStores::new());
//! ```
//!
//! # Rules and their cases
//!
//! | `run` | case |
//! |---|---|
//! | items run one after the other, in the order in which they were begotten | `items_run_in_the_order_they_were_begotten` |
//! | the first output is the answer; the other branches run too | `the_first_output_is_the_answer_and_no_branch_is_dropped` |
//! | work that ends without an output is an error, not a panic | `a_run_without_an_output_is_an_error`, `a_fan_out_of_nothing_is_a_run_without_an_output` |
//! | a failure that nothing catches is the answer, be it an error or an abort | `a_failure_is_the_answer`, `an_abort_is_a_failure` |
//!
//! | `run_with_checkpoint`, `resume`, `CheckpointStore` | case |
//! |---|---|
//! | a checkpoint is saved before the first step, and after each one | `a_checkpoint_is_saved_before_the_first_step`, `a_lost_process_s_run_is_resumed_elsewhere` |
//! | a checkpoint wins over the input; the item that failed is still in it | `a_checkpoint_wins_over_the_input` |
//! | a run that has ended gives its output again, executes nothing, and is not resumed | `a_run_that_has_ended_is_not_executed_again` |
//! | a run works on a copy of the context: one may be given to several runs | `one_context_may_be_given_to_several_runs` |
//! | without a checkpoint there is nothing to resume | `a_run_that_was_not_started_is_not_resumed` |
//! | a terminal item that is left is executed by `resume` | `a_run_is_resumed_at_its_last_item` |
//! | token and limit are the caller's in `run_with_checkpoint`; `resume` has none | `a_limit_is_that_of_the_call` |
//! | a checkpoint with nothing but work items is a place to begin | `a_checkpoint_made_by_hand_is_a_place_to_begin` |
//!
//! | `start_distributed` | case |
//! |---|---|
//! | the context is set and the first item queued; nothing is executed | `a_start_executes_nothing` |
//! | a second start changes nothing; with another input it is refused | `a_second_start_is_the_same_run` |
//! | a start that was lost half-way is made good by the same start | `a_start_that_was_lost_half_way_is_made_good` |
//! | the starter's token and limit are not the run's | `a_start_keeps_no_token_and_no_limit` |
//!
//! | `step_distributed`, `StepCallbacks`, `StepError` | case |
//! |---|---|
//! | an empty queue is `None` and no error | `an_empty_queue_is_no_step` |
//! | a queue that fails is an error without run and item | `a_queue_that_fails_is_an_error_without_a_run` |
//! | `on_started` comes first; its error keeps the item from being executed, and the item comes again | `what_comes_of_an_item_is_told`, `a_refused_item_is_not_executed_and_comes_again` |
//! | a context store that fails is an error with run and item; the item comes again, and its change counts once | `a_context_store_that_fails_doubles_nothing` |
//! | an item of an unknown run is `NotStarted` with run and item, and stays; nobody is told | `an_item_without_a_run_is_an_error_and_stays` |
//! | context and successors are there before `on_item_processed` is called | `a_step_is_committed_before_it_is_told` |
//! | an item with an output returns and tells it; holding, and a fan-out of nothing, are success | `what_comes_of_an_item_is_told`, `holding_is_success` |
//! | what a step returns and tells is its own, whatever the run has: output, end, error | `s1_two_workers_each_see_a_terminal_output`, `s1_run_once_returns_the_output_of_its_item`, `s1_the_last_step_returns_no_output_of_another`, `s1_a_run_without_an_output_is_no_failed_step`, `s1_a_step_does_not_fail_with_another_s_error` |
//! | an error of `on_item_processed` is one with run and item; the step stays committed, and is not told again | `an_error_of_who_is_told_undoes_nothing` |
//! | a failed node is told, changes no context, and is an error with run and item | `a_failed_item_is_told_and_leaves_nothing_behind` |
//! | a step is committed once: what was not queued is queued later, and what is delivered again is not executed | `what_was_committed_and_not_queued_is_queued_later`, `an_item_that_is_done_is_not_executed_again` |
//!
//! | run ids that are used again | case |
//! |---|---|
//! | items and attempts of an earlier run are discarded, whether queued, leased or running | `h3_items_of_an_earlier_run_are_not_taken`, `h3_an_attempt_of_an_earlier_run_is_discarded` |
//! | errors, metrics, states and the list are those of the later run | `h1_views_of_an_earlier_run_are_kept_apart`, `h1_the_list_of_runs_shows_the_later_run` |
//! | idempotency keys differ | `h3_a_later_run_has_other_idempotency_keys` |
//! | a checkpoint is replaced by its own run alone | `h3_a_later_run_keeps_its_checkpoint` |
//!
//! | ids, answers and edges | case |
//! |---|---|
//! | ids follow from parent, edge, position and incarnation, and stay the same when an item is tried again | `the_ids_of_items_are_derived`, `a_failed_attempt_waits_in_the_queue` |
//! | a value is copied to each successor, in the order of the edges; many values in theirs | `items_run_in_the_order_they_were_begotten`, `a_fan_out_goes_to_every_successor_in_order` |
//! | many values of a terminal node are outputs | `many_values_of_a_terminal_node_are_outputs` |
//! | holding ends the branch; a join by hand goes on once, with the last | `a_join_by_hand_goes_on_once`, `a_join_by_hand_goes_on_once_among_many_workers` |
//! | a failure or an abort begets the fallback with the original input; a success does not | `a_failure_takes_the_fallback_with_the_input`, `an_abort_takes_the_fallback`, `a_success_passes_the_fallback_by` |
//! | a variant goes where the first arm says that fits, round a circle too; an arm may end the run | `a_value_goes_where_its_arm_says`, `an_arm_may_end_the_run` |
//! | many values go by variant, each its own way | `a_fan_out_may_go_different_ways` |
//! | a failure has no arm | `a_failure_has_no_arm` |
//!
//! | `RetryNode`, `#[retry]`, `RetryPolicy` | case |
//! |---|---|
//! | attempts have the same input and are one step | `a_node_is_tried_again_within_its_step` |
//! | giving up is the last error; the fallback comes after that | `a_node_that_gives_up_has_failed`, `a_fallback_comes_after_the_last_attempt` |
//! | a worker records a failure that a fallback is to catch, and takes the fallback after its last attempt | `a_worker_takes_the_fallback_after_its_last_attempt` |
//! | an abort is not tried again | `an_abort_is_not_tried_again` |
//! | retries of nodes and of workers are counted apart, and multiply | `retries_of_nodes_and_of_workers_multiply` |
//! | token and limit are around all attempts | `a_limit_is_around_all_attempts` |
//! | pauses: linear or doubling, at random longer by the jitter, never above the cap | `pauses_grow_up_to_their_cap` |
//! | a policy covers its class of errors and so many attempts | `a_policy_covers_its_class_of_errors` |
//!
//! | `BatchNode`, `SplitNode`, `CompositeNode`, `Source` | case |
//! |---|---|
//! | a batch is one step, in the order of its inputs; many values are flattened, held ones left out | `a_batch_is_one_step_in_the_order_of_its_inputs` |
//! | a batch works on so many inputs at once | `a_batch_works_on_so_many_at_once` |
//! | the first failure fails the batch | `a_batch_fails_as_one` |
//! | a batch that is cancelled ends with the inputs in flight, and nothing of it is kept | `a_batch_is_cancelled_with_what_is_in_flight` |
//! | a split is a fan-out | `a_split_is_a_fan_out` |
//! | a nested workflow is one step on the step's context, and fails whole | `a_nested_workflow_is_one_step`, `a_nested_workflow_fails_whole` |
//! | it has the limit that it was made with, and the token of the step | `a_nested_workflow_keeps_its_limit_and_not_its_token` |
//! | a source runs one value after the other until the channel is closed; the first error ends it and loses no other value | `a_source_runs_one_after_the_other` |
//! | a timer is a task that feeds a source | `a_timer_feeds_a_source` |
//!
//! | cancellation and limits | case |
//! |---|---|
//! | a limit is for each node | `a_limit_is_for_each_node` |
//! | a worker's limit is for each attempt | `a_worker_s_limit_is_for_each_attempt` |
//! | with a cancelled token no node is executed | `a_cancelled_run_executes_nothing` |
//! | a cancellation reaches the node that runs | `a_cancellation_reaches_the_node_that_runs` |
//! | a limit that has passed is caught by a fallback, a cancellation is not | `a_limit_takes_the_fallback_and_a_cancellation_does_not` |
//!
//! | failures outside of the node | case |
//! |---|---|
//! | changes that cannot be merged fail the run | `a_change_that_cannot_be_merged_fails` |
//! | an output that cannot be encoded fails the run | `an_output_that_cannot_be_encoded_fails` |
//! | a node that looks at no limit is dropped | `a_node_that_keeps_no_limit_is_dropped` |
//!
//! | contexts and merging, `ContextStore` | case |
//! |---|---|
//! | a context is set, merged and read for its run | `contexts_are_set_and_merged`, `merges_that_meet_lose_nothing` |
//! | counters add, logs unite, fixed values stay | `every_field_is_merged_in_its_own_way` |
//! | what is read shares nothing with what is kept | `what_is_read_shares_nothing_with_what_is_kept` |
//! | a record is swapped by one alone, and is one with its context | `a_record_is_swapped_by_one_alone`, `a_record_and_its_context_are_one` |
//! | steps that commit at once count exactly; a common past does not count twice | `branches_that_commit_at_once_count_exactly` |
//! | events stand in the order of cause and effect | `events_stand_in_the_order_of_cause_and_effect` |
//!
//! | `DistributedWorker`, `WorkerPool` | case |
//! |---|---|
//! | stored health keeps no one from working | `what_is_stored_of_a_lost_worker_keeps_no_one_from_working` |
//! | a worker gives signs of life, and tells its item while it runs one; the item is in progress | `a_worker_tells_what_it_does` |
//! | `heartbeat` gives one by hand | `a_heartbeat_is_a_sign_of_life` |
//! | signs of life go on during a long step | `signs_of_life_go_on_during_a_long_step` |
//! | an item that held is completed | `an_item_that_held_is_completed` |
//! | each success is counted; the last one lists status, output and end | `the_last_step_lists_the_end` |
//! | a failed attempt is recorded, and the item waits in the queue for the next one | `a_failed_attempt_waits_in_the_queue` |
//! | the last attempt fails the item and the run for good | `retries_have_an_end` |
//! | `new` has no policy; the builder's tries a node's own errors again | `a_worker_s_policy_is_the_builder_s_or_none` |
//! | `set_retry_policy` gives it one | `a_policy_is_set_later` |
//! | `run_forever` executes what comes until it is dropped, failures or not | `a_worker_runs_for_ever` |
//! | a worker whose future is dropped in the middle of a step gives its item back | `a_dropped_worker_s_item_comes_back` |
//! | a worker rests for the idle time where nothing waits, and longer each time the queue fails | `a_worker_rests_where_there_is_nothing_to_do` |
//! | a pool's workers have ids from the first on, and tell their health | `a_pool_s_workers_have_their_ids` |
//! | `stop` finishes the steps under way; `stop_within` gives them back; `join` waits | `a_pool_that_stops_finishes_the_step_under_way`, `a_step_that_does_not_end_in_time_is_given_back`, `a_pool_can_be_waited_for` |
//! | several pools execute one run exactly | `two_pools_execute_a_run_with_retries_exactly` |
//!
//! | `DistributedOrchestrator` | case |
//! |---|---|
//! | a started run is listed, and can be asked about | `a_started_run_can_be_asked_about`, `a_failed_run_says_why` |
//! | what does not exist is `NotStarted` | `a_run_that_does_not_exist_is_an_error` |
//! | `wait_for_completion` waits for the last branch, through a pause too | `the_end_is_that_of_all_branches`, `a_paused_run_waits_and_goes_on_where_it_was` |
//! | `cancel` ends a run, purges its items, and throws away what is under way | `a_cancelled_run_never_goes_on` |
//! | `pause` holds items back; `resume` goes on and repeats nothing that is done | `a_paused_run_waits_and_goes_on_where_it_was`, `a_step_under_way_is_committed_by_a_paused_run` |
//! | an end is final, a failure too: commands say so | `an_end_is_final` |
//! | `complete_run` ends a run by hand | `a_run_that_is_completed_by_hand_goes_no_further` |
//! | workers are alive, stale or dead by the age of their last sign | `workers_are_alive_stale_or_dead` |
//! | a live worker is listed with its item and status | `a_live_worker_is_listed_with_its_health` |
//!
//! | `WorkQueue`, `RunInfoStore`, `MetricsStore`, `ErrorStore`, `LivenessStore`, `WorkItemStateStore` | case |
//! |---|---|
//! | first in, first out over all runs; each item to one worker | `items_come_in_order_over_all_runs`, `each_item_is_handed_out_once` |
//! | an item waits once; dequeued or settled it is gone | `an_item_that_waits_is_there_once`, `what_is_dequeued_is_gone` |
//! | an item is pending until it is settled, also while a worker holds it | `an_item_that_is_leased_is_pending` |
//! | an unknown run has no items, which is no error | `an_unknown_run_has_no_items` |
//! | a purge takes all items of one run | `a_run_is_purged_alone` |
//! | what is given back comes at once, or after its time | `what_is_given_back_comes_at_once_or_after_its_time` |
//! | `insert_run` replaces; `update_*` of an unknown run is `NotFound` | `a_run_s_info_is_replaced_and_updated` |
//! | runs are listed by when they began, and end once | `runs_are_listed_by_when_they_began`, `runs_end_once` |
//! | `update_metrics` replaces; additions are not lost | `no_addition_to_the_numbers_is_lost` |
//! | errors are kept in order | `errors_are_kept_in_their_order` |
//! | signs of life and health are kept by worker | `workers_are_listed_with_their_signs_of_life` |
//! | reading leaves no mark; attempts are counted without gaps | `items_are_listed_as_they_fare`, `no_two_attempts_have_one_number` |

#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod adaptors;
mod checkpoints;
mod contexts;
mod every_way;
mod faulty;
mod harness;
mod limits;
mod memory;
mod orchestrator;
mod own_steps;
mod pipeline;
mod pools;
mod queue;
mod recording_callbacks;
mod retries;
mod reuse;
mod runs;
mod starts;
mod steps;
#[cfg(test)]
mod tests;
mod traits;
mod transitions;
mod views;
mod workers;
mod workflows;

pub use memory::MemoryStores;
pub use traits::Stores;

use std::pin::Pin;

/// A case of this part, over stores of type `S`.
pub type Case<S> = fn(S) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        /// The names of all cases.
        pub const CASES: &[&str] = &[$($(stringify!($case)),+),+];

        fn case<S: Stores>(name: &str) -> Option<Case<S>> {
            $($(
                if name == stringify!($case) {
                    return Some(|stores| Box::pin($module::$case(stores)));
                }
            )+)+
            None
        }

        /// Instantiates the part of the suite about stores and what runs over them as one test for each case. The
        /// argument is an async closure that makes fresh [`Stores`](crate::conformance::stores::Stores) for a case of
        /// that name.
        #[macro_export]
        macro_rules! store_suite {
            ($make:expr) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let make = $make;
                        $crate::conformance::stores::run(stringify!($case), make(stringify!($case)).await).await;
                    }
                )+)+
            };
        }
    };
}

cases! {
    runs: items_run_in_the_order_they_were_begotten, the_first_output_is_the_answer_and_no_branch_is_dropped,
        a_run_without_an_output_is_an_error, a_fan_out_of_nothing_is_a_run_without_an_output,
        a_failure_is_the_answer, an_abort_is_a_failure;
    checkpoints: a_checkpoint_is_saved_before_the_first_step, a_checkpoint_wins_over_the_input,
        one_context_may_be_given_to_several_runs, a_run_that_has_ended_is_not_executed_again, a_run_that_was_not_started_is_not_resumed,
        a_run_is_resumed_at_its_last_item, a_limit_is_that_of_the_call,
        a_checkpoint_made_by_hand_is_a_place_to_begin, a_lost_process_s_run_is_resumed_elsewhere;
    starts: a_start_executes_nothing, a_second_start_is_the_same_run,
        a_start_that_was_lost_half_way_is_made_good, a_start_keeps_no_token_and_no_limit;
    steps: an_empty_queue_is_no_step, what_comes_of_an_item_is_told, holding_is_success,
        a_step_is_committed_before_it_is_told, a_failed_item_is_told_and_leaves_nothing_behind,
        a_refused_item_is_not_executed_and_comes_again, an_item_without_a_run_is_an_error_and_stays,
        a_queue_that_fails_is_an_error_without_a_run, what_was_committed_and_not_queued_is_queued_later,
        an_item_that_is_done_is_not_executed_again, a_context_store_that_fails_doubles_nothing,
        an_error_of_who_is_told_undoes_nothing;
    own_steps: s1_two_workers_each_see_a_terminal_output, s1_run_once_returns_the_output_of_its_item,
        s1_the_last_step_returns_no_output_of_another, s1_a_run_without_an_output_is_no_failed_step,
        s1_a_step_does_not_fail_with_another_s_error;
    reuse: h3_items_of_an_earlier_run_are_not_taken, h3_an_attempt_of_an_earlier_run_is_discarded,
        h1_views_of_an_earlier_run_are_kept_apart, h1_the_list_of_runs_shows_the_later_run,
        h3_a_later_run_has_other_idempotency_keys, h3_a_later_run_keeps_its_checkpoint;
    transitions: the_ids_of_items_are_derived, a_fan_out_goes_to_every_successor_in_order,
        many_values_of_a_terminal_node_are_outputs, a_failure_takes_the_fallback_with_the_input,
        an_abort_takes_the_fallback, a_success_passes_the_fallback_by, a_value_goes_where_its_arm_says,
        an_arm_may_end_the_run, a_fan_out_may_go_different_ways, a_failure_has_no_arm,
        a_join_by_hand_goes_on_once;
    retries: a_node_is_tried_again_within_its_step, a_node_that_gives_up_has_failed,
        an_abort_is_not_tried_again, a_fallback_comes_after_the_last_attempt,
        a_worker_takes_the_fallback_after_its_last_attempt,
        retries_of_nodes_and_of_workers_multiply, a_limit_is_around_all_attempts, pauses_grow_up_to_their_cap,
        a_policy_covers_its_class_of_errors;
    adaptors: a_batch_is_one_step_in_the_order_of_its_inputs, a_batch_works_on_so_many_at_once,
        a_batch_fails_as_one, a_batch_is_cancelled_with_what_is_in_flight, a_split_is_a_fan_out, a_nested_workflow_is_one_step,
        a_nested_workflow_fails_whole, a_nested_workflow_keeps_its_limit_and_not_its_token,
        a_source_runs_one_after_the_other, a_timer_feeds_a_source;
    limits: a_limit_is_for_each_node, a_cancelled_run_executes_nothing,
        a_cancellation_reaches_the_node_that_runs, a_limit_takes_the_fallback_and_a_cancellation_does_not,
        a_worker_s_limit_is_for_each_attempt;
    pipeline: a_change_that_cannot_be_merged_fails, an_output_that_cannot_be_encoded_fails,
        a_node_that_keeps_no_limit_is_dropped;
    contexts: contexts_are_set_and_merged, every_field_is_merged_in_its_own_way,
        what_is_read_shares_nothing_with_what_is_kept, merges_that_meet_lose_nothing,
        a_record_is_swapped_by_one_alone, a_record_and_its_context_are_one,
        branches_that_commit_at_once_count_exactly, a_join_by_hand_goes_on_once_among_many_workers,
        events_stand_in_the_order_of_cause_and_effect;
    workers: a_worker_tells_what_it_does, the_last_step_lists_the_end, a_failed_attempt_waits_in_the_queue,
        retries_have_an_end, a_worker_s_policy_is_the_builder_s_or_none,
        what_is_stored_of_a_lost_worker_keeps_no_one_from_working, a_worker_runs_for_ever,
        signs_of_life_go_on_during_a_long_step, a_dropped_worker_s_item_comes_back,
        a_worker_rests_where_there_is_nothing_to_do, a_heartbeat_is_a_sign_of_life, a_policy_is_set_later,
        an_item_that_held_is_completed;
    pools: a_pool_s_workers_have_their_ids, a_pool_that_stops_finishes_the_step_under_way,
        a_pool_can_be_waited_for, a_step_that_does_not_end_in_time_is_given_back,
        two_pools_execute_a_run_with_retries_exactly;
    orchestrator: a_started_run_can_be_asked_about, a_run_that_does_not_exist_is_an_error,
        the_end_is_that_of_all_branches, a_cancelled_run_never_goes_on,
        a_paused_run_waits_and_goes_on_where_it_was, a_step_under_way_is_committed_by_a_paused_run,
        an_end_is_final, a_run_that_is_completed_by_hand_goes_no_further, a_failed_run_says_why,
        workers_are_alive_stale_or_dead, a_live_worker_is_listed_with_its_health;
    queue: items_come_in_order_over_all_runs, an_item_that_waits_is_there_once, what_is_dequeued_is_gone,
        an_item_that_is_leased_is_pending,
        an_unknown_run_has_no_items, a_run_is_purged_alone,
        what_is_given_back_comes_at_once_or_after_its_time, each_item_is_handed_out_once;
    views: runs_end_once, runs_are_listed_by_when_they_began, a_run_s_info_is_replaced_and_updated,
        no_addition_to_the_numbers_is_lost, errors_are_kept_in_their_order,
        workers_are_listed_with_their_signs_of_life, no_two_attempts_have_one_number,
        items_are_listed_as_they_fare;
}

/// Runs one case.
///
/// # Panics
/// Where the stores, or what runs over them, do not behave.
pub async fn run<S: Stores>(name: &str, stores: S) {
    let case = case(name).unwrap_or_else(|| panic!("there is no case named {name}"));
    super::within_time(name, case(stores)).await;
}
