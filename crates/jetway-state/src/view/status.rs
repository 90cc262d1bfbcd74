//! Reading a result and a status. An output may be `null`, which serde reads as no output. And in a status the fields of its result
//! are among its own, and serde cannot read a JSON text as it is out of such a group (`flatten`), so they are listed once more.

use super::{
    BuildWaitView, CancelView, DoneView, ErrorView, LeftOut, MailboxView, PendingView, PersonWaitView,
    StatusView, WaitView,
};
use crate::{Incarnation, RunId, WorkflowName, json::Json, run::Status};
use serde::Deserialize;

/// The fields of a result.
#[derive(Deserialize)]
pub(super) struct DoneFields {
    run_id: RunId,
    incarnation: Incarnation,
    workflow: WorkflowName,
    status: Status,
    output: Option<Json>,
    outputs: Vec<Json>,
    #[serde(default)]
    left_out: Option<LeftOut>,
    error: Option<ErrorView>,
    started_at: String,
    finished_at: Option<String>,
    steps: u64,
    #[serde(default)]
    cancel: Option<CancelView>,
}

impl From<DoneFields> for DoneView {
    fn from(fields: DoneFields) -> Self {
        Self {
            run_id: fields.run_id,
            incarnation: fields.incarnation,
            workflow: fields.workflow,
            status: fields.status,
            output: fields.output.or_else(|| fields.outputs.first().cloned()),
            outputs: fields.outputs,
            left_out: fields.left_out,
            error: fields.error,
            started_at: fields.started_at,
            finished_at: fields.finished_at,
            steps: fields.steps,
            cancel: fields.cancel,
        }
    }
}

/// All fields of a status.
#[derive(Deserialize)]
pub(super) struct Fields {
    run_id: RunId,
    incarnation: Incarnation,
    workflow: WorkflowName,
    status: Status,
    output: Option<Json>,
    outputs: Vec<Json>,
    #[serde(default)]
    left_out: Option<LeftOut>,
    error: Option<ErrorView>,
    started_at: String,
    finished_at: Option<String>,
    steps: u64,
    #[serde(default)]
    cancel: Option<CancelView>,
    #[serde(default)]
    chain: Option<Incarnation>,
    #[serde(default)]
    continued: u32,
    updated_at: String,
    pending: Vec<PendingView>,
    #[serde(default)]
    children: Vec<String>,
    #[serde(default)]
    more_children: usize,
    #[serde(default)]
    waiting_for_person: Vec<PersonWaitView>,
    #[serde(default)]
    waiting_for_build: Vec<BuildWaitView>,
    #[serde(default)]
    waiting_for: Option<String>,
    #[serde(default)]
    waits: Vec<WaitView>,
    #[serde(default)]
    deadline: Option<String>,
    #[serde(default)]
    mailbox: Option<MailboxView>,
    handled_failures: u64,
    latest_handled_failures: Vec<ErrorView>,
    #[serde(default)]
    output_nodes: Vec<String>,
    trace_id: String,
}

impl From<Fields> for StatusView {
    fn from(fields: Fields) -> Self {
        let run = DoneFields {
            run_id: fields.run_id,
            incarnation: fields.incarnation,
            workflow: fields.workflow,
            status: fields.status,
            output: fields.output,
            outputs: fields.outputs,
            left_out: fields.left_out,
            error: fields.error,
            started_at: fields.started_at,
            finished_at: fields.finished_at,
            steps: fields.steps,
            cancel: fields.cancel,
        };
        Self {
            run: run.into(),
            chain: fields.chain,
            continued: fields.continued,
            updated_at: fields.updated_at,
            pending: fields.pending,
            children: fields.children,
            more_children: fields.more_children,
            waiting_for_person: fields.waiting_for_person,
            waiting_for_build: fields.waiting_for_build,
            waiting_for: fields.waiting_for,
            waits: fields.waits,
            deadline: fields.deadline,
            mailbox: fields.mailbox,
            handled_failures: fields.handled_failures,
            latest_handled_failures: fields.latest_handled_failures,
            output_nodes: fields.output_nodes,
            trace_id: fields.trace_id,
        }
    }
}
