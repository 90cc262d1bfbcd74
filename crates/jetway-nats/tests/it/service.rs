//! The micro service, used by a plain NATS client.

use crate::support::{DEADLINE, backend, client, heard, workflow};
use async_nats::{Client, HeaderMap, Message};
use async_trait::async_trait;
use jetway_engine::{
    Control,
    api::{
        Api, ApiError, ControlView, RetryQuery, RetryView, RunsView, SignalAnswer, SignalRequest,
        StartAnswer, WorkflowView, WorkflowsView,
    },
    backend::{HostInfo, Hosts as _, RunsQuery, StartRequest},
};
use jetway_nats::{HostsClient, NO_HOST, NatsBackend, serve};
use jetway_state::{
    Incarnation, RunId, Timestamp, WorkflowName,
    codec::Encoding,
    run::{RunDeadline, StartTime, Status, Verdict},
    view::{OutputPage, OutputQuery, StatusView},
};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// Answers with its input.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    serves: Vec<String>,
    started: Mutex<Vec<(StartRequest, Option<Duration>)>>,
    signals: Mutex<Vec<SignalRequest>>,
    hold: Notify,
}

#[async_trait]
impl Api for Echo {
    fn serves(&self, workflow: &str) -> bool {
        self.serves.iter().any(|served| served == workflow)
    }

    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<StartAnswer, ApiError> {
        self.started.lock().unwrap().push((request.clone(), wait));
        if request.run_id == "held" {
            self.hold.notified().await;
        }
        Ok(StartAnswer::Started {
            run_id: RunId::new(&request.run_id).expect("a run id"),
            incarnation: Incarnation::default(),
        })
    }

    async fn status(&self, workflow: &str, run_id: &str) -> Result<StatusView, ApiError> {
        Err(ApiError::new(404, format!("there is no run {workflow}/{run_id}\nat all")))
    }

    async fn output(&self, workflow: &str, run_id: &str, query: OutputQuery) -> Result<OutputPage, ApiError> {
        // The answer shows the limit.
        let text = query.limit.unwrap_or_default().to_string();
        Ok(OutputPage {
            run_id: RunId::new(run_id).expect("a run id"),
            incarnation: Incarnation::default(),
            outputs: 1,
            output: query.output,
            bytes: workflow.len(),
            offset: query.offset,
            text,
            next: None,
        })
    }

    async fn control(
        &self,
        control: Control,
        _workflow: &str,
        run_id: &str,
    ) -> Result<ControlView, ApiError> {
        let status = if control == Control::Pause { Status::Paused } else { Status::Running };
        Ok(ControlView { run_id: RunId::new(run_id).expect("a run id"), status, changed: true })
    }

    async fn retry(&self, _workflow: &str, run_id: &str, query: RetryQuery) -> Result<RetryView, ApiError> {
        let items = query.item.into_iter().collect();
        Ok(RetryView { run_id: RunId::new(run_id).expect("a run id"), status: Status::Running, items })
    }

    async fn signal(&self, request: SignalRequest) -> Result<SignalAnswer, ApiError> {
        let run_id = RunId::new(&request.run_id).expect("a run id");
        let name = request.name.clone();
        self.signals.lock().unwrap().push(request);
        Ok(SignalAnswer { run_id, name, applied: true, started: false, verdict: Verdict::Kept })
    }

    async fn signal_with_start(
        &self,
        start: StartRequest,
        signal: SignalRequest,
    ) -> Result<SignalAnswer, ApiError> {
        self.started.lock().unwrap().push((start, None));
        Ok(SignalAnswer { started: true, ..self.signal(signal).await? })
    }

    async fn runs(&self, query: RunsQuery) -> Result<RunsView, ApiError> {
        // The page has no field of its own for the limit.
        Ok(RunsView {
            runs: Vec::new(),
            next: Some(query.limit.to_string()),
            scanned: 0,
            unreadable: Vec::new(),
        })
    }

    async fn workflows(&self) -> Result<WorkflowsView, ApiError> {
        let (fingerprint, dot) = ("feed".to_owned(), String::new());
        Ok(WorkflowsView {
            workflows: vec![WorkflowView { name: workflow(), fingerprint, dot, graph: None }],
        })
    }

    async fn workflow(&self, name: &str) -> Result<WorkflowView, ApiError> {
        Err(ApiError::new(404, format!("no workflow {name:?} here")))
    }
}

impl Echo {
    /// The longest time that a start was to wait.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.started.lock().unwrap().iter().filter_map(|(_, wait)| *wait).max().unwrap_or_default()
    }
}

pub(crate) fn echo(serves: &[&str]) -> Arc<Echo> {
    Arc::new(Echo { serves: serves.iter().map(ToString::to_string).collect(), ..Echo::default() })
}

pub(crate) async fn ask(
    client: &Client,
    backend: &NatsBackend,
    rest: &str,
    headers: HeaderMap,
    payload: &str,
) -> Message {
    let subject = format!("jetway.{}.api.{rest}", backend.namespace());
    client.request_with_headers(subject, headers, payload.to_owned().into()).await.unwrap()
}

pub(crate) fn json_of(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

pub(crate) fn error_of(message: &Message) -> (String, String) {
    let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().as_str().to_owned();
    (header("Nats-Service-Error-Code"), header("Nats-Service-Error"))
}

fn host(name: &str, workflow: &WorkflowName) -> HostInfo {
    HostInfo {
        host: name.to_owned(),
        workflows: vec![(workflow.clone(), "feed".to_owned())],
        slots: 1,
        started_at: String::new(),
        version: String::new(),
        no_room_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_passed_on_with_its_headers() {
    let (backend, api, client) = (Arc::new(backend("start").await), echo(&["pay"]), client().await);
    let service = serve(Arc::clone(&backend), api.clone(), &[workflow()]).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Run-Id", "order-1");
    headers.insert("Jetway-Wait", "30s");
    headers.insert("Content-Type", "application/cbor");
    headers.insert("jetway-start-at", "2030-01-31T08:00:00+01:00");
    headers.insert("JETWAY-DEADLINE", "10m");
    headers.insert("traceparent", "00-aa-bb-01");
    let reply = ask(&client, &backend, "start.pay", headers, "input").await;
    assert_eq!(json_of(&reply)["run_id"], "order-1");
    let (request, wait) = api.started.lock().unwrap()[0].clone();
    assert_eq!(wait, Some(Duration::from_secs(30)));
    assert_eq!((request.workflow.as_str(), request.input.as_ref()), ("pay", b"input".as_slice()));
    assert_eq!((request.encoding, request.trace.parent.as_deref()), (Encoding::Cbor, Some("00-aa-bb-01")));
    assert_eq!(request.start_time, StartTime::At(Timestamp::parse("2030-01-31T07:00:00Z").unwrap()));
    assert_eq!(request.deadline, RunDeadline::After(Duration::from_secs(600)));
    // Without a run id, each request is another run.
    let one = json_of(&ask(&client, &backend, "start.pay", HeaderMap::new(), "1").await);
    let two = json_of(&ask(&client, &backend, "start.pay", HeaderMap::new(), "1").await);
    assert_ne!(one["run_id"], two["run_id"]);
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_passed_on_with_its_headers() {
    let (backend, api, client) = (Arc::new(backend("signal").await), echo(&["pay"]), client().await);
    let service = serve(Arc::clone(&backend), api.clone(), &[workflow()]).await.unwrap();
    let incarnation = Incarnation::from_random(7);
    let mut headers = HeaderMap::new();
    headers.insert("nats-msg-id", "payment-7");
    headers.insert("jetway-incarnation", incarnation.to_string());
    headers.insert("Content-Type", "application/cbor");
    let reply = ask(&client, &backend, "signal.pay.order-1.paid", headers, "payload").await;
    let expected = serde_json::json!({
        "run_id": "order-1", "name": "paid", "applied": true, "verdict": "kept",
    });
    assert_eq!(json_of(&reply), expected);
    let sent = SignalRequest {
        workflow: "pay".to_owned(),
        run_id: "order-1".to_owned(),
        name: "paid".to_owned(),
        id: Some("payment-7".to_owned()),
        incarnation: Some(incarnation),
        content_type: Some("application/cbor".to_owned()),
        payload: "payload".into(),
    };
    assert_eq!(api.signals.lock().unwrap()[0], sent);
    // The client of hosts sends the same.
    let answer = HostsClient::new(Arc::clone(&backend)).signal(sent.clone()).await.unwrap();
    assert_eq!((answer.run_id.as_str(), answer.applied), ("order-1", true));
    assert_eq!(api.signals.lock().unwrap()[1], sent);
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Incarnation", "first");
    let bad = ask(&client, &backend, "signal.pay.order-1.paid", headers, "1").await;
    let (code, sentence) = error_of(&bad);
    assert_eq!(code, "400");
    assert!(sentence.starts_with("the header Jetway-Incarnation: invalid"), "{sentence}");
    // A host that does not serve the workflow does not get it.
    let unserved = SignalRequest { workflow: "nobody".to_owned(), ..sent };
    let unserved = HostsClient::new(Arc::clone(&backend)).signal(unserved).await.unwrap_err();
    assert_eq!(unserved.code, NO_HOST, "{unserved}");
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_starts_its_run_is_passed_on_with_the_input() {
    let (backend, api, client) = (Arc::new(backend("starts").await), echo(&["pay"]), client().await);
    let service = serve(Arc::clone(&backend), api.clone(), &[workflow()]).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("nats-msg-id", "payment-7");
    headers.insert("jetway-start-at", "2030-01-31T08:00:00Z");
    let subject = "signal_with_start.pay.order-1.paid";
    let body = r#"{"payload": [1.10], "input": {"b": 1, "a": 2}}"#;
    let reply = json_of(&ask(&client, &backend, subject, headers, body).await);
    assert_eq!((&reply["run_id"], &reply["started"]), (&"order-1".into(), &true.into()));
    let (start, signal) = (api.started.lock().unwrap()[0].0.clone(), api.signals.lock().unwrap()[0].clone());
    // The text of both stays as it is.
    assert_eq!((&start.input[..], &signal.payload[..]), (&br#"{"b": 1, "a": 2}"#[..], &b"[1.10]"[..]));
    assert_eq!((start.run_id.as_str(), signal.id.as_deref()), ("order-1", Some("payment-7")));
    // The client of hosts sends the same.
    let hosts = HostsClient::new(Arc::clone(&backend));
    assert!(hosts.signal_with_start(start.clone(), signal.clone()).await.unwrap().started);
    let again = api.started.lock().unwrap()[1].0.clone();
    assert_eq!((again.input, again.start_time), (start.input, start.start_time));
    assert_eq!(api.signals.lock().unwrap()[1], signal);
    for wrong in ["", "7", r#"{"input": 1}"#, r#"{"input": 1, "payload": 2, "more": 3}"#] {
        let bad = ask(&client, &backend, subject, HeaderMap::new(), wrong).await;
        assert_eq!(error_of(&bad).0, "400", "{wrong}");
    }
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_code_and_a_sentence() {
    let (backend, client) = (Arc::new(backend("ask").await), client().await);
    let service = serve(Arc::clone(&backend), echo(&["pay"]), &[workflow()]).await.unwrap();
    let runs = ask(&client, &backend, "runs", HeaderMap::new(), "{\"limit\":7}").await;
    assert_eq!(json_of(&runs)["next"], "7");
    let runs = ask(&client, &backend, "runs", HeaderMap::new(), "").await;
    assert_eq!(json_of(&runs)["next"], "0");
    let bad = ask(&client, &backend, "runs", HeaderMap::new(), "{\"limmit\":7}").await;
    let (code, sentence) = error_of(&bad);
    assert_eq!(code, "400");
    assert!(sentence.contains("limmit"), "{sentence}");
    let workflows = json_of(&ask(&client, &backend, "workflows", HeaderMap::new(), "").await);
    assert_eq!(workflows["workflows"][0]["name"], "pay");
    let missing = ask(&client, &backend, "workflow.pay", HeaderMap::new(), "").await;
    assert_eq!(error_of(&missing).0, "404");
    let missing = ask(&client, &backend, "status.pay.a", HeaderMap::new(), "").await;
    assert_eq!(error_of(&missing), ("404".to_owned(), "there is no run pay/a at all".to_owned()));
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Wait", "soon");
    assert_eq!(error_of(&ask(&client, &backend, "start.pay", headers, "1").await).0, "400");
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_discoverable() {
    let (backend, client) = (Arc::new(backend("micro").await), client().await);
    let service = serve(Arc::clone(&backend), echo(&["pay"]), &[workflow()]).await.unwrap();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply("$SRV.INFO.jetway", inbox, "".into()).await.unwrap();
    let namespace = backend.namespace().to_string();
    let found = timeout(DEADLINE, async {
        // Other tests have services on this server too.
        loop {
            let info = json_of(&futures::StreamExt::next(&mut replies).await.unwrap());
            if info["metadata"]["namespace"] == namespace.as_str() {
                return info;
            }
        }
    });
    let info = found.await.unwrap();
    let mut names: Vec<_> =
        info["endpoints"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let all = [
        "cancel",
        "output",
        "pause",
        "resume",
        "retry",
        "runs",
        "signal-pay",
        "signal_with_start-pay",
        "start",
        "start-pay",
        "status",
        "terminate",
        "workflow-pay",
        "workflows",
    ];
    assert_eq!(names, all);
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_to_a_host_that_serves_its_workflow() {
    let (pay, client) = (Arc::new(backend("two").await), client().await);
    let ship_name = WorkflowName::new("ship").unwrap();
    let ship = Arc::new(
        NatsBackend::connect(crate::support::config("x").await.in_namespace(pay.namespace().clone()))
            .await
            .unwrap(),
    );
    pay.announce(&host("one", &workflow())).await.unwrap();
    pay.announce(&host("two", &ship_name)).await.unwrap();
    let echoes = [echo(&["pay"]), echo(&["ship"])];
    let services = [
        serve(Arc::clone(&pay), echoes[0].clone(), &[workflow()]).await.unwrap(),
        serve(Arc::clone(&ship), echoes[1].clone(), &[ship_name]).await.unwrap(),
    ];
    heard(&client).await;
    for _ in 0..10 {
        for name in ["pay", "ship"] {
            let reply = ask(&client, &pay, &format!("start.{name}"), HeaderMap::new(), "1").await;
            assert!(json_of(&reply)["run_id"].is_string(), "{reply:?}");
        }
    }
    for (api, name) in echoes.iter().zip(["pay", "ship"]) {
        let started = api.started.lock().unwrap();
        assert_eq!(started.len(), 10, "{name}");
        assert!(started.iter().all(|(request, _)| request.workflow == name), "{started:?}");
    }
    for _ in 0..4 {
        let unknown = ask(&client, &pay, "start.nobody", HeaderMap::new(), "1").await;
        let sentence = "no host serves workflow \"nobody\"; the served workflows are pay, ship".to_owned();
        assert_eq!(error_of(&unknown), ("404".to_owned(), sentence));
    }
    for service in services {
        service.stop(DEADLINE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_requests_within_the_grace_period() {
    let (backend, client) = (Arc::new(backend("stop").await), client().await);
    for grace in [DEADLINE, Duration::from_millis(100)] {
        let api = echo(&["pay"]);
        let service = serve(Arc::clone(&backend), api.clone(), &[workflow()]).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Jetway-Run-Id", "held");
        let (asker, namespace) = (client.clone(), backend.namespace().clone());
        let asking = tokio::spawn(async move {
            asker
                .request_with_headers(format!("jetway.{namespace}.api.start.pay"), headers, "1".into())
                .await
                .unwrap()
        });
        jetway_testing::wait_until("the request has arrived", DEADLINE, async || {
            !api.started.lock().unwrap().is_empty()
        })
        .await;
        let stopping = tokio::spawn(service.stop(grace));
        if grace == DEADLINE {
            api.hold.notify_one();
            assert_eq!(json_of(&asking.await.unwrap())["run_id"], "held");
        } else {
            assert_eq!(error_of(&asking.await.unwrap()).0, "503");
        }
        timeout(DEADLINE, stopping).await.unwrap().unwrap();
        let gone = client.request(format!("jetway.{}.api.runs", backend.namespace()), "".into()).await;
        assert!(gone.is_err(), "{gone:?}");
    }
}
