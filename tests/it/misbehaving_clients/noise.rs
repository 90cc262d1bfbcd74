//! Random and half-valid messages on every subject that a client may write to.

use super::{Host, chain, said, sealed_run, sealed_ticket, ticket};
use anyhow::Result;
use async_nats::HeaderMap;
use jetway_engine::backend::Ticket;
use jetway_state::{ItemId, Timestamp, run::Status};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How many messages each kind of subject gets.
const MESSAGES: usize = 300;
/// How much larger a host may become by it, in megabytes.
const GROWTH: u64 = 150;
const VERBS: [&str; 10] =
    ["start", "status", "cancel", "terminate", "pause", "resume", "retry", "signal", "runs", "workflows"];

/// Says what a stranger might say.
struct Stranger(StdRng);

impl Stranger {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.random_range(0..choices.len())]
    }

    /// A word of a subject: one that means something, or one that does not.
    fn word(&mut self) -> String {
        match self.0.random_range(0..4) {
            0 => self.one_of(&["chain", "corpus", "one", "start", "start-0", "victim", "no-such"]).to_owned(),
            1 => self.one_of(&["Ä", "a/b", "-", "%", "{}", "\u{1}", "$JS", "jetway"]).to_owned(),
            2 => "x".repeat(self.0.random_range(1..90)),
            _ => format!("{:x}", self.0.random::<u64>()),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.0.random_range(0..200);
        (0..length).map(|_| self.0.random()).collect()
    }

    /// Bytes that are nothing, or something that is not what is asked for, or that is cut off.
    fn payload(&mut self) -> Vec<u8> {
        let valid: &[&[u8]] = &[
            b"{\"path\": 7, \"top\": []}",
            b"[[[[[[1e999]]]]]]",
            b"\"text\"",
            b"{\"workflow\": \"chain\", \"limit\": -1}",
            b"{\"workflow\": \"chain\", \"limit\": 3}",
            b"JW\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xbf",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        let mut bytes = valid[self.0.random_range(0..valid.len())].to_vec();
        match self.0.random_range(0..4) {
            0 => bytes,
            1 => {
                bytes.truncate(self.0.random_range(0..bytes.len()));
                bytes
            }
            2 => {
                let at = self.0.random_range(0..bytes.len());
                bytes[at] = self.0.random();
                bytes
            }
            _ => self.bytes(),
        }
    }

    fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [
            ("Jetway-Run-Id", &["victim", "a b", "", "ok-1", "…"][..]),
            ("Content-Type", &["application/cbor", "application/json; x", "/", "APPLICATION/CBOR;"]),
            ("Jetway-Start-At", &["+1ms", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+x", "soon"]),
            ("Jetway-Deadline", &["100d", "0s", "-1s", "99999999999999999999h", "soon"]),
            ("Jetway-Signal-Id", &["a", "", "…"]),
            ("Jetway-Incarnation", &["first", "0123456789abcdef"]),
            ("Jetway-Wait", &["1ms", "99999999999999999999h", "-1s", "soon"]),
            (
                "traceparent",
                &["00-0-0-0", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "-", "ff"],
            ),
            ("Jetway-Status", &["running", "nothing"]),
            ("Jetway-Commit", &["00000000000000012", "?"]),
        ] {
            if self.0.random_bool(0.3) {
                headers.insert(name, self.one_of(values));
            }
        }
        headers
    }

    /// A ticket that says another thing than its subject, or of a run that is not there.
    fn ticket(&mut self, valid: Ticket) -> Ticket {
        match self.0.random_range(0..5) {
            0 => Ticket { node: self.word(), ..valid },
            1 => Ticket { revision: u64::MAX, attempt: u32::MAX, at: Timestamp(u64::MAX), ..valid },
            2 => Ticket { item: ItemId::branch(&ItemId::start(), self.0.random()), ..valid },
            3 => Ticket { attempt: 0, revision: 0, at: Timestamp(0), ..valid },
            _ => valid,
        }
    }
}

/// Tickets that are none, or are for what is not there.
async fn forge(host: &Host, stranger: &mut Stranger) -> Result<()> {
    for number in 0..MESSAGES {
        let (run, item) = match number % 3 {
            0 => ("paused", format!("start-{number}")),
            1 => ("no-such-run", format!("item-{number}")),
            _ => ("victim", format!("start-{number}-{number}")),
        };
        let forged = stranger.ticket(ticket(run, &item)?);
        let subject = host.subject(&format!("work.chain.one.{run}.{item}.00000000"));
        let bytes = if number % 4 == 0 { stranger.payload() } else { sealed_ticket(&forged)? };
        host.client.publish_with_headers(subject, stranger.headers(), bytes.into()).await?;
        let subject = format!("work.chain.{}.{}", stranger.word(), stranger.word());
        host.client.publish(host.subject(&subject), stranger.payload().into()).await?;
    }
    Ok(())
}

/// What a stranger says where anybody may: starts and questions. And where nobody should: results, dead letters, hosts
/// and the records of runs that are not there.
async fn chatter(host: &Host, stranger: &mut Stranger) -> Result<()> {
    let asked = host.client.new_inbox();
    for number in 0..MESSAGES {
        let words = [stranger.word(), stranger.word()];
        let [one, other] = &words;
        let verb = VERBS[number % VERBS.len()];
        let start = stranger.one_of(&["chain", "corpus"]);
        for subject in [
            host.subject(&format!("start.{start}")),
            host.subject(&format!("start.{one}")),
            host.subject(&format!("signal.{start}.{one}.{other}")),
            host.subject(&format!("done.{one}.{other}")),
            host.subject(&format!("dead.{one}.{other}")),
            host.key("RUNS", &format!("{one}.{other}")),
            host.key("RUNS", &format!("chain.{one}.{other}")),
            host.key("HOSTS", one),
        ] {
            let (headers, payload) = (stranger.headers(), stranger.payload());
            host.client.publish_with_headers(subject, headers, payload.into()).await?;
        }
        for subject in [
            host.subject(&format!("api.{verb}")),
            host.subject(&format!("api.{verb}.{one}")),
            host.subject(&format!("api.{verb}.chain.{other}")),
            host.subject(&format!("api.{verb}.{one}.{other}.{one}")),
        ] {
            let (headers, payload) = (stranger.headers(), stranger.payload());
            let client = &host.client;
            client.publish_with_reply_and_headers(subject, asked.clone(), headers, payload.into()).await?;
        }
    }
    Ok(())
}

/// Promises 7 and 8: whatever is said to a host, it goes on with its work, says why it refused the rest, and is idle
/// again when nobody says anything any more.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_host_goes_on_whatever_is_said_to_it() -> Result<()> {
    let seed = rand::random();
    // Shown where the test fails.
    println!("seed {seed}");
    let mut stranger = Stranger(StdRng::seed_from_u64(seed));
    let mut host = Host::start("noise").await?;
    let (pid, before) = (host.process.pid(), host.memory()?);
    let mut broken = sealed_run("victim", Status::Running)?;
    let half = broken.len() / 2;
    broken.truncate(half);
    host.store(host.key("RUNS", "chain.victim"), HeaderMap::new(), broken).await?;
    host.store(host.key("RUNS", "chain.mixed-up"), HeaderMap::new(), sealed_run("another", Status::Running)?)
        .await?;
    host.store(host.key("RUNS", "chain.paused"), HeaderMap::new(), sealed_run("paused", Status::Paused)?)
        .await?;
    for run in ["victim", "mixed-up", "paused"] {
        host.ticket(run, "start", sealed_ticket).await?;
        host.store(host.subject(&format!("signal.chain.{run}.approval")), HeaderMap::new(), "true").await?;
    }
    chatter(&host, &mut stranger).await?;
    forge(&host, &mut stranger).await?;
    host.client.flush().await?;
    host.works().await?;
    for (why, reason) in [
        ("bad-input", "input of workflow"),
        ("bad-run-id", "invalid run id \"a b\""),
        ("undecodable-ticket", "is not in Jetway's format"),
        ("undecodable-ticket", "the ticket is for item"),
        ("cannot-run", &format!("cannot decode the record of run {}", chain("victim")?)),
        ("cannot-run", &format!("it is the record of run {}", chain("another")?)),
        ("unreadable_run", &format!("cannot decode the record of run {}", chain("victim")?)),
        ("unknown_signal", "no node of workflow \"chain\" waits for a signal named \"approval\""),
        ("unknown-workflow", "no host has ever served a workflow named"),
    ] {
        let letter = host.buried(why, reason).await?;
        assert!(!said(&letter, "Jetway-Reason").is_empty());
    }
    host.is_idle_again().await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    let after = host.memory()?;
    assert!(after < before + GROWTH, "the host has {after} MB of memory, and had {before} MB");
    Ok(())
}
