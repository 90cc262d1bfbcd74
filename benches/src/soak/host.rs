//! The host as a process of its own.

use crate::{HEAP, mixed::Mixed};
use anyhow::{Context, Result};
use clap::Args;
use jetway::{Host, NatsConfig};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// What the process is told.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    #[arg(long)]
    pub(crate) nats: String,
    #[arg(long)]
    pub(crate) namespace: String,
    #[arg(long)]
    pub(crate) keep: u64,
}

/// A host that is at work. Killed when it is dropped.
pub(crate) struct HostProcess {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl HostProcess {
    /// Starts this program again, as a host.
    pub(crate) fn start(HostArgs { nats, namespace, keep }: &HostArgs) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["host", "--nats", nats, "--namespace", namespace, "--keep", &keep.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the host does not start")?;
        let questions = child.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        Ok(Self { child, questions, answers })
    }

    /// `None` once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How many bytes it has allocated and not freed.
    pub(crate) async fn heap(&mut self) -> Result<usize> {
        self.questions.write_u8(b'?').await?;
        let answer = self.answers.next_line().await?.context("the host has ended")?;
        Ok(answer.parse()?)
    }
}

/// Serves until the process that started this one is gone, however it went. Asked by a byte, it tells what it has
/// allocated.
#[expect(clippy::print_stdout, reason = "it is how the other process is told")]
pub(crate) async fn serve(HostArgs { nats, namespace, keep }: HostArgs) -> Result<()> {
    let _telemetry = jetway::telemetry::init("jetway-soak")?;
    let mut config = NatsConfig::new(nats).in_namespace(namespace.parse()?);
    config.keep_finished = Duration::from_secs(keep);
    config.keep_results = Duration::from_secs(keep);
    let host = Host::builder().nats_config(config).workflow(Mixed::new()).build().await?;
    let asked = async {
        let mut questions = tokio::io::stdin();
        while questions.read_u8().await.is_ok() {
            println!("{}", HEAP.allocated());
        }
    };
    tokio::select! {
        served = host.run() => Ok(served?),
        () = asked => Ok(()),
    }
}
