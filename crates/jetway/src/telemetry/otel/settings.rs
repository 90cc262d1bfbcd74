//! The settings of the OpenTelemetry specification, from the environment.
//!
//! Reads what the libraries do not read, and finds what nobody can follow: each such setting gives one warning, and the
//! program goes on without it.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

mod numbers;
mod warnings;

use std::{env, path::PathBuf};

/// The variable with the resource attributes.
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Where the environment wants traces to go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    pub(super) files: Files,
}

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// The files for TLS, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Files {
    /// The authorities that the collector's certificate is checked against, instead of those of the system.
    pub(super) authorities: Option<PathBuf>,
    /// The certificate of this client, and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// A source of settings: the environment, or a table in a test.
pub(super) struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// The value of a variable that is set and not empty.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A setting of the exporter: the one for traces, or the one for all signals; and the variable that it comes from.
    fn of_exporter(&self, name: &str) -> Option<(String, String)> {
        ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"]
            .map(|prefix| format!("{prefix}{name}"))
            .into_iter()
            .find_map(|variable| self.get(&variable).map(|value| (variable, value)))
    }
}

/// The settings in the environment of this process; `None` if traces are not exported. And a sentence for each setting that
/// cannot be followed.
pub(super) fn from_env() -> (Option<Settings>, Vec<String>) {
    read(&Variables(&|name| env::var(name).ok()))
}

/// The number of a variable in the environment, within its limits. `None` if it is not set, or is no whole number.
pub(super) fn number(name: &str) -> Option<u64> {
    numbers::number(&Variables(&|name| env::var(name).ok()), name)
}

/// Whether the environment has a resource attribute of this name.
pub(super) fn resource_names(attribute: &str) -> bool {
    let given = env::var(RESOURCE).unwrap_or_default();
    let named =
        given.split(',').any(|pair| pair.split('=').next().is_some_and(|key| key.trim() == attribute));
    named || (attribute == "service.name" && is_set("OTEL_SERVICE_NAME"))
}

/// Whether a variable is set and not empty.
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn read(variables: &Variables<'_>) -> (Option<Settings>, Vec<String>) {
    let mut warnings = Vec::new();
    if is_disabled(variables, &mut warnings) {
        return (None, warnings);
    }
    let wanted = exporter(variables, &mut warnings);
    if wanted == Exporter::Nothing {
        return (None, warnings);
    }
    let endpoint = variables.of_exporter("ENDPOINT");
    if endpoint.is_none() && wanted == Exporter::Unset {
        return (None, warnings);
    }
    let protocol = protocol(variables, &mut warnings);
    let endpoint = endpoint_of(variables, endpoint, protocol);
    let files = files(variables, &mut warnings);
    warnings::add(variables, &mut warnings);
    (Some(Settings { endpoint, protocol, files }), warnings)
}

fn is_disabled(variables: &Variables<'_>, warnings: &mut Vec<String>) -> bool {
    match variables.get("OTEL_SDK_DISABLED") {
        Some(value) if value.eq_ignore_ascii_case("true") => true,
        Some(value) if !value.eq_ignore_ascii_case("false") => {
            warnings.push(format!("OTEL_SDK_DISABLED={value:?} counts as false: use true or false"));
            false
        }
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Unset,
    Otlp,
    Nothing,
}

fn exporter(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Exporter {
    const NAME: &str = "OTEL_TRACES_EXPORTER";
    let Some(value) = variables.get(NAME) else { return Exporter::Unset };
    let mut found = Exporter::Nothing;
    for name in value.split(',').map(str::trim) {
        match name {
            "otlp" => found = Exporter::Otlp,
            "none" | "" => {}
            other => warnings.push(format!("{NAME}: there is no exporter {other:?}: use otlp or none")),
        }
    }
    found
}

fn protocol(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Protocol {
    let Some((variable, value)) = variables.of_exporter("PROTOCOL") else { return Protocol::Grpc };
    match value.as_str() {
        "grpc" => Protocol::Grpc,
        "http/protobuf" => Protocol::HttpProtobuf,
        // Whoever takes JSON takes protobuf, at the same address.
        "http/json" => {
            warnings.push(format!("{variable}: sending http/protobuf instead of http/json"));
            Protocol::HttpProtobuf
        }
        other => {
            warnings.push(format!(
                "{variable}: there is no protocol {other:?}, using grpc: use grpc or http/protobuf"
            ));
            Protocol::Grpc
        }
    }
}

/// The address that spans are sent to. The one for all signals gets the path of traces.
fn endpoint_of(variables: &Variables<'_>, given: Option<(String, String)>, protocol: Protocol) -> String {
    const PATH: &str = "/v1/traces";
    match (given, protocol) {
        (None, Protocol::Grpc) => "http://localhost:4317".to_owned(),
        (None, Protocol::HttpProtobuf) => format!("http://localhost:4318{PATH}"),
        (Some((_, endpoint)), _) if !endpoint.contains("://") => {
            let insecure = variables.of_exporter("INSECURE").map(|(_, value)| value).unwrap_or_default();
            let scheme = if insecure.eq_ignore_ascii_case("true") { "http" } else { "https" };
            endpoint_of(variables, Some((String::new(), format!("{scheme}://{endpoint}"))), protocol)
        }
        (Some((_, endpoint)), Protocol::Grpc) => endpoint,
        (Some((variable, endpoint)), Protocol::HttpProtobuf) if variable.contains("_TRACES_") => endpoint,
        (Some((_, endpoint)), Protocol::HttpProtobuf) => format!("{}{PATH}", endpoint.trim_end_matches('/')),
    }
}

fn files(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Files {
    let file = |name| variables.of_exporter(name).map(|(_, path)| PathBuf::from(path));
    let client = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            warnings.push(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: only one of both is set, so no \
                 certificate is sent: set both"
                    .to_owned(),
            );
            None
        }
    };
    Files { authorities: file("CERTIFICATE"), client }
}

/// An endpoint without a user and a password, for logs.
pub(super) fn redacted(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests;
