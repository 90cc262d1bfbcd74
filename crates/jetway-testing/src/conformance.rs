//! One suite of behaviour that every backend passes: the in-memory one and JetStream alike.
//!
//! This part is about the engine of hosts, over a [`Backend`]. [`stores`] is about runs within a process and over stores,
//! without hosts.
//!
//! A backend of your own instantiates it with [`conformance_suite!`](crate::conformance_suite):
//!
//! ```
//! use jetway_engine::memory::MemoryBackend;
//! use jetway_testing::conformance::{LEASE, BackendUnderTest};
//! use std::sync::Arc;
//!
//! jetway_testing::conformance_suite!(async |_case: &str| BackendUnderTest::new(Arc::new(MemoryBackend::with_lease(LEASE))));
//! ```

mod builds;
mod chains;
mod child_options;
mod children;
mod clean_up;
mod control;
mod engine;
mod first_of;
mod heartbeats;
mod host;
mod incarnations;
mod joins;
mod late_ack;
mod limits;
mod long_loops;
mod many_runs;
mod old_answers;
mod person;
mod pipeline;
mod recovery;
mod results;
mod retries;
mod run_deadlines;
mod signals;
mod snapshots;
mod start_times;
mod starts;
mod stopping;
pub mod stores;
mod strangers;
mod tickets;
mod time_limits;
mod timers;
mod workflows;

pub use host::TestHost;
pub use workflows::Probe;

use jetway_engine::backend::Backend;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

/// The lease that a backend under test gives: short, so that lost workers are found soon.
pub const LEASE: Duration = Duration::from_secs(2);

/// How long a case waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A backend under test, fresh for its case, and what has to live as long.
pub struct BackendUnderTest {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    _kept: Box<dyn std::any::Any + Send + Sync>,
}

impl BackendUnderTest {
    /// A backend that needs nothing else.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, _kept: Box::new(()) }
    }

    /// A backend with something that is dropped after it.
    pub fn keeping(backend: Arc<dyn Backend>, kept: impl std::any::Any + Send + Sync) -> Self {
        Self { backend, _kept: Box::new(kept) }
    }
}

impl fmt::Debug for BackendUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendUnderTest").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// A case of the suite.
pub type Case = fn(BackendUnderTest) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        /// Every case, by name.
        pub const CASES: &[(&str, Case)] = &[
            $($((stringify!($case), |tested| Box::pin($module::$case(tested)))),+),+
        ];

        /// Instantiates the suite as one test for each case. The argument is an async closure that makes a fresh
        /// [`BackendUnderTest`](crate::conformance::BackendUnderTest) for a case of that name.
        #[macro_export]
        macro_rules! conformance_suite {
            ($make:expr) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let make = $make;
                        $crate::conformance::run(stringify!($case), make(stringify!($case)).await).await;
                    }
                )+)+
            };
        }
    };
}

cases! {
    snapshots: a_snapshot_is_read_as_it_was_written, a_write_that_lost_the_race_changes_nothing,
        many_runs_are_written_at_once, chunks_live_beside_their_snapshot, u8_runs_are_listed_in_pages,
        u8_runs_that_are_written_meanwhile_are_listed,
        a_stale_run_is_found_once, runs_that_ended_are_found, chunks_that_nobody_will_name_are_removed;
    tickets: a_ticket_is_published_once, a_lost_worker_s_ticket_is_delivered_again,
        a_ticket_that_is_kept_alive_is_nobody_else_s, a_ticket_that_is_given_back_comes_at_once,
        no_more_tickets_than_slots;
    starts: a_start_is_delivered_until_it_is_settled, starts_of_unknown_workflows_are_expelled,
        u11_whoever_waits_for_a_refused_start_is_told, u11_no_run_of_another_input_answers_a_start,
        u11_a_long_refusal_is_cut_and_told,
        an_input_of_nothing_is_an_empty_payload;
    results: a_result_is_kept_and_waited_for, the_first_result_stays, h1_a_later_run_of_the_same_name_has_its_own_result,
        h1_without_a_record_the_later_result_stays, h1_a_late_result_is_not_told_to_the_next_starter, hosts_come_and_go;
    engine: p1_an_acknowledged_start_is_a_run, p1_a_second_start_gives_the_same_run,
        p1_a_second_start_with_another_input_is_refused, p2_a_failed_step_leaves_nothing_behind,
        p5_terminal_is_final, p5_a_run_without_an_output_has_failed, p6_counters_of_many_branches_are_exact,
        p7_a_bad_start_is_refused_and_leaves_nothing_behind, a_panic_is_a_failed_attempt, a_fallback_goes_on_with_the_input,
        a_chain_runs_to_its_end, p10_a_waiting_run_says_why, p10_a_wait_has_a_kind_and_what_ends_it,
        p10_a_run_that_is_due_waits_for_a_host;
    joins: a_join_runs_once_in_order, joins_nest, a_fan_out_of_nothing_is_joined, a_held_join_goes_on_once,
        a_bounded_node_takes_only_so_many;
    recovery: p3_a_step_that_runs_twice_is_committed_once, p3_a_zombie_cannot_commit,
        p4_forged_tickets_do_nothing, p4_lost_tickets_are_found, p4_tickets_lost_just_now_are_found_in_doubt, p4_a_lost_worker_s_run_goes_on, h5_a_result_that_was_lost_with_its_ticket_is_published, h5_a_result_lost_just_now_is_published_in_doubt,
        p4_a_commit_that_was_overtaken_leaves_nothing_stranded,
        p4_what_a_lost_worker_left_is_found_by_those_who_know_less,
        p4_a_ticket_that_comes_again_brings_back_what_it_left,
        p7_a_broken_record_keeps_nobody_else_waiting, p1_a_lost_coordinator_s_start_is_taken_up;
    incarnations: h3_an_attempt_of_an_earlier_run_commits_nothing, h3_a_ticket_of_an_earlier_run_does_nothing,
        h2_a_run_that_is_started_again_has_other_children, h3_chunks_of_an_earlier_run_are_dropped_alone;
    old_answers: h4_an_answer_that_is_too_old_settles_no_ticket;
    many_runs: m7_one_sweep_looks_at_every_run;
    children: a_child_run_is_a_run_of_its_own, a_child_that_is_lost_sight_of_is_found,
        a_child_that_was_never_started_is_not_any_more, the_end_of_a_run_cancels_its_children;
    child_options: a_child_run_follows_the_policy_when_its_parent_is_cancelled, a_cancelled_parent_waits_for_its_child,
        a_child_run_that_is_late_is_cancelled, a_child_run_that_ends_in_time_is_no_timeout, a_detached_run_goes_on_alone,
        w49_a_detached_child_of_a_run_that_has_ended_is_started, w48_the_newest_incarnation_of_a_child_is_cancelled,
        w47_a_clean_up_waits_for_a_child_run, many_child_runs_are_gathered_in_order,
        many_child_runs_are_as_many_at_once_as_allowed, large_results_of_child_runs_travel,
        the_first_failure_of_many_child_runs_ends_the_others, many_child_runs_survive_the_loss_of_their_host;
    builds: u7_an_item_of_another_build_waits_for_it, u7_a_context_of_another_build_waits_for_it,
        u7_a_build_that_has_learned_to_read_goes_on, u7_builds_side_by_side_leave_no_trace,
        h6_an_item_that_its_own_build_cannot_read_fails, h6_a_context_that_its_own_build_cannot_read_fails,
        h6_a_lost_chunk_fails_its_step, h6_a_child_whose_id_is_taken_fails_its_step;
    control: p5_a_cancelled_run_stops, p5_a_step_under_way_is_cut_short_when_its_run_ends,
        p7_a_false_result_stops_no_step, a_paused_run_waits_until_it_is_resumed,
        a_run_that_is_told_again_to_go_on_has_its_tickets, a_run_is_told_again_and_again;
    pipeline: p6_a_change_that_cannot_be_merged_fails, an_output_that_cannot_be_encoded_fails,
        a_node_that_keeps_no_limit_is_dropped;
    strangers: h7_a_long_trace_state_is_dropped, h7_a_run_that_cannot_have_a_ticket_ends_no_sweep,
        m1_a_forged_ticket_counts_no_attempts, m1_lost_workers_are_counted;
    stopping: u2_a_host_that_stops_makes_no_attempt, u2_a_host_that_stops_in_a_later_step_makes_no_attempt,
        u2_a_crash_between_stops_is_counted_once, u2_a_ticket_that_was_replaced_is_no_attempt;
    timers: w24_short_and_long_waits_are_never_early, w23_a_run_says_until_when_it_waits, w23_a_long_wait_has_one_alarm,
        w27_a_paused_run_wakes_when_it_is_resumed, a_waiting_item_takes_no_slot_of_its_node, an_output_is_passed_on_later,
        w24_an_early_ticket_does_not_take_the_place_of_a_later_one,
        w26_a_lost_alarm_is_found_by_the_sweep, w26_alarms_are_armed_again_in_doubt, w26_what_is_due_just_now_is_found_in_doubt;
    retries: w31_attempts_are_made_again_at_growing_intervals, w31_an_attempt_that_is_due_before_an_ack_is_made, w31_an_attempt_that_is_due_while_an_ack_is_on_its_way_is_made, w36_the_last_attempt_takes_the_fallback,
        w35_what_is_terminal_is_not_tried_again, w33_a_node_says_when_to_try_again,
        a_policy_of_the_host_is_for_nodes_without_one, w32_a_lost_host_is_no_failure_of_the_node,
        w32_a_node_that_ends_its_host_each_time_fails, w34_a_step_without_time_for_a_retry_fails_at_once,
        w35_errors_are_named_and_wrapped, a_policy_of_the_workflow_is_for_nodes_without_one,
        w30_policies_without_sense_are_refused, w37_a_cancelled_run_is_not_tried_again;
    person: an_item_waits_for_a_person_and_its_siblings_go_on, a_retry_of_what_waits_for_nobody_is_refused,
        a_run_that_waits_for_a_person_takes_commands, a_failure_that_is_handled_waits_for_nobody;
    time_limits: w36_each_attempt_has_its_limit, a_node_that_overruns_is_told_to_stop,
        the_limit_of_the_host_is_for_nodes_without_one, a_step_has_to_be_done_within_its_time,
        a_step_that_is_found_too_late_does_not_run, a_node_without_a_heartbeat_fails;
    heartbeats: a_heartbeat_replaces_the_one_before, w51_the_last_heartbeat_is_given_to_the_next_attempt,
        w51_a_lost_host_leaves_a_heartbeat_of_a_second_ago,
        w51_heartbeats_are_stored_once_a_second_and_fail_no_step;
    clean_up: w37_a_run_that_waits_is_cleaned_up_at_once, w46_a_step_that_succeeds_after_the_cancel_counts,
        w46_no_cancelled_run_is_completed, w46_a_step_that_fails_after_the_cancel_is_cleaned_up,
        w47_a_clean_up_runs_to_its_end_once, w47_a_person_retries_a_step_of_a_clean_up, a_clean_up_that_fails_is_told, w47_a_run_that_is_terminated_ends_at_once,
        w47_past_its_limit_a_clean_up_ends, w47_an_alarm_of_a_run_that_has_ended_meanwhile_is_disarmed, branches_are_cleaned_up_as_their_node_allows,
        a_run_that_is_paused_is_cleaned_up, a_host_that_does_not_know_the_workflow_cancels,
        a_run_without_clean_up_is_cancelled_at_once, a_cancel_that_is_repeated_completes_a_lost_one,
        a_cancel_that_was_lost_is_found_by_the_sweep;
    signals: w38_a_signal_before_the_first_step_is_kept, w38_a_signal_before_the_ack_of_a_wait_is_taken, w39_a_loop_takes_many_signals_in_order,
        w40_a_signal_after_the_deadline_is_kept_for_the_next_wait, w40_a_cancelled_run_reports_what_it_kept,
        w41_a_signal_and_a_deadline_have_one_winner, an_attempt_that_knows_less_is_made_again, w42_one_id_is_one_signal,
        w43_what_is_wrong_is_refused_and_changes_nothing, w43_a_signal_that_is_stored_twice_is_one_dead_letter,
        w43_a_full_mailbox_refuses, w44_a_signal_starts_nothing_early,
        w45_the_item_that_waited_longest_gets_the_signal, a_paused_run_takes_signals, a_lost_coordinator_s_signal_is_taken_up,
        w44_a_signal_that_starts_its_run_starts_nothing_early, a_signal_starts_its_run_or_goes_to_the_one_that_is_there,
        w38_signals_before_the_run_are_taken_in_order,
        w38_a_signal_before_the_run_is_there_for_its_first_wait,
        w38_a_signal_before_the_run_comes_before_a_later_one, w42_copies_of_a_signal_are_put_off_once,
        a_wrong_signal_starts_no_run, many_signals_start_one_run;
    start_times: w44_a_run_starts_at_its_time, a_start_time_that_has_passed_is_no_wait, w44_a_bad_start_time_is_refused,
        w44_a_run_that_waits_for_its_start_takes_commands, w44_a_lost_coordinator_s_alarm_is_armed_again,
        w44_a_repeated_request_arms_a_lost_alarm;
    run_deadlines: w52_a_run_fails_at_its_deadline, w52_a_deadline_takes_the_clean_up, w27_a_pause_does_not_count_for_the_deadline,
        a_start_sets_the_deadline, a_deadline_ends_the_children, w26_a_lost_deadline_is_found_by_the_sweep;
    long_loops: a_run_goes_on_with_a_fresh_context, values_of_earlier_incarnations_are_removed, open_branches_fail_the_step,
        w39_a_loop_that_continues_as_new_loses_no_signal, w42_an_id_is_remembered_by_the_next_incarnation,
        w48_a_cancel_meets_the_newest_incarnation, w48_a_child_that_has_continued_is_cancelled,
        a_parent_gets_what_its_child_ends_with, w52_a_chain_keeps_its_deadline, a_paused_run_continues_when_it_is_resumed,
        p4_a_lost_host_s_next_incarnation_gets_its_ticket, p4_a_ticket_that_was_lost_is_found_by_the_sweep;
    chains: w50_a_run_with_awaited_children_does_not_continue_as_new, w50_detached_children_of_each_incarnation_run_on,
        w50_a_policy_applies_when_the_chain_ends, w50_a_child_of_a_former_incarnation_is_started, w52_a_deadline_of_zero_is_refused;
    first_of: a_child_run_comes_before_a_signal, a_signal_comes_before_a_child_run, a_deadline_comes_before_a_child_run,
        a_signal_that_is_there_already_starts_no_child_run, w41_a_child_run_and_a_signal_have_one_winner,
        a_cancel_comes_before_a_child_run_and_a_signal, what_comes_first_survives_the_loss_of_a_host,
        w26_a_lost_alarm_of_a_wait_for_the_first_is_found_by_the_sweep;
    limits: p9_a_wide_fan_out_keeps_the_snapshot_small, p9_a_context_that_is_too_large_fails_its_run_alone,
        s1_a_span_tells_the_outcome_that_is_committed,
        p9_large_values_travel;
}

/// Runs one case.
///
/// # Panics
/// Where the backend does not behave.
pub async fn run(name: &str, tested: BackendUnderTest) {
    let case = CASES.iter().find(|(case, _)| *case == name).map(|(_, case)| *case);
    let case = case.unwrap_or_else(|| panic!("there is no case named {name}"));
    within_time(name, case(tested)).await;
}

/// A case that hangs says so, instead of hanging the whole suite.
async fn within_time(name: &str, case: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(DEADLINE * 3, case).await;
    assert!(ended.is_ok(), "the case {name} did not come to an end");
}
