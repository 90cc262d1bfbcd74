//! Outputs of runs that are too large for a result or a status.

use super::{Client, ClientError};
use jetway_engine::{
    api::ApiError,
    backend::{Api as _, SnapshotStore as _},
};
use jetway_nats::NO_HOST;
use jetway_state::{
    Incarnation, RunKey, Seen,
    json::Json,
    view::{DoneView, OutputPage, OutputQuery},
};

impl Client {
    /// Reads an output of a run, whatever its size: the first one has the number 0. The run may still be running. A host sends
    /// it in pages; without a host it is read from the record of the run.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such run, or no such output yet.
    ///
    /// ```no_run
    /// # async fn example(client: jetway::Client, run: jetway::RunKey) -> Result<(), Box<dyn std::error::Error>> {
    /// let report: Vec<String> = client.output(&run, 0).await?.read()?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn output(&self, run: &RunKey, output: usize) -> Result<Json, ClientError> {
        self.output_of(run, output, None).await
    }

    async fn output_of(
        &self,
        run: &RunKey,
        output: usize,
        mut incarnation: Option<Incarnation>,
    ) -> Result<Json, ClientError> {
        let mut text = String::new();
        loop {
            let query = OutputQuery { output, offset: text.len(), limit: None, incarnation };
            let page = match self.hosts.output(run.workflow.as_str(), run.run_id.as_str(), query).await {
                Err(ApiError { code: NO_HOST, .. }) => self.page_of_record(run, &query).await?,
                page => page?,
            };
            text.push_str(&page.text);
            if page.next.is_none() {
                return Json::parse(text, "the output of the run").map_err(ClientError::Value);
            }
            // The pages of two runs with one id do not fit together.
            incarnation = Some(page.incarnation);
        }
    }

    async fn page_of_record(&self, run: &RunKey, query: &OutputQuery) -> Result<OutputPage, ClientError> {
        let stored = self.backend.load(run, Seen::default()).await?.ok_or_else(|| ClientError::NotFound {
            message: format!("run {run} not found: it does not exist, or its record has expired"),
        })?;
        let (snapshot, _) = stored.open().map_err(ClientError::Record)?;
        let page = OutputPage::of_record(&snapshot, query);
        page.map_err(|reason| ClientError::NotFound { message: format!("run {run}: {reason}") })
    }

    /// The result with the outputs that were left out of its message. If they are gone, it stays as it is.
    pub(super) async fn with_outputs(
        &self,
        run: &RunKey,
        mut done: DoneView,
    ) -> Result<DoneView, ClientError> {
        let Some(left_out) = &done.left_out else { return Ok(done) };
        let mut outputs = Vec::with_capacity(left_out.outputs);
        for output in 0..left_out.outputs {
            match self.output_of(run, output, Some(done.incarnation)).await {
                Ok(output) => outputs.push(output),
                Err(ClientError::NotFound { .. } | ClientError::Refused { code: 409, .. }) => {
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
        done.output = outputs.first().cloned();
        done.outputs = outputs;
        done.left_out = None;
        Ok(done)
    }
}
