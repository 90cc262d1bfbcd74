//! Settings, and what they lead to.

use super::*;

fn read_table(table: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
    let get = |name: &str| table.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    read(&Variables(&get))
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");

#[test]
fn f10_where_traces_go() {
    let grpc = "grpc";
    let http = "http/protobuf";
    for (table, expected) in [
        (vec![], None),
        (vec![ENDPOINT], Some("http://c:4317")),
        (vec![ENDPOINT, ("OTEL_SDK_DISABLED", "True")], None),
        (vec![ENDPOINT, ("OTEL_SDK_DISABLED", "false")], Some("http://c:4317")),
        (vec![ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")], None),
        (vec![("OTEL_TRACES_EXPORTER", "otlp")], Some("http://localhost:4317")),
        (
            vec![("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", http)],
            Some("http://localhost:4318/v1/traces"),
        ),
        (vec![ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x")], Some("https://t/x")),
        (vec![ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", http)], Some("http://c:4317/v1/traces")),
        (
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/base/"), ("OTEL_EXPORTER_OTLP_PROTOCOL", http)],
            Some("https://c/base/v1/traces"),
        ),
        (
            vec![
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x"),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", http),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", grpc),
            ],
            Some("https://t/x"),
        ),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")], Some("https://c:4317")),
        (
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")],
            Some("http://c:4317"),
        ),
    ] {
        let (settings, warnings) = read_table(&table);
        assert_eq!(settings.map(|settings| settings.endpoint).as_deref(), expected, "{table:?}");
        assert!(warnings.is_empty(), "{table:?}: {warnings:?}");
    }
}

#[test]
fn f10_what_cannot_be_followed_is_a_warning() {
    for (name, value, word) in [
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift", "thrift"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem", "set both"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "whole number"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "18446744073709551615", "86400000 is used"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999", "1000000 is used"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551616", "1000000 is used"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "1 is used"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "4294967296", "4294967295 is used"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "without compression"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret", "header 2"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "jaeger_remote"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "whole number"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "\"c\""),
        ("OTEL_PROPAGATORS", "b3,tracecontext", "b3"),
    ] {
        let (settings, warnings) = read_table(&[ENDPOINT, (name, value)]);
        assert!(settings.is_some(), "{name}");
        assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
        assert!(warnings[0].contains(word) && !warnings[0].contains("secret"), "{warnings:?}");
        assert!(!warnings[0].contains("feature"), "{warnings:?}");
    }
    let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")];
    assert_eq!(read_table(&ratio).1.len(), 1);
}

#[test]
fn f10_certificates_come_from_files() {
    let (settings, warnings) = read_table(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
    ]);
    let client = Some((PathBuf::from("/cert.pem"), PathBuf::from("/key.pem")));
    let files = Files { authorities: Some(PathBuf::from("/traces.pem")), client };
    assert_eq!((settings.map(|settings| settings.files), warnings), (Some(files), vec![]));
}

#[test]
fn logins_are_not_shown() {
    for (endpoint, shown) in [
        ("http://c:4317", "http://c:4317"),
        ("https://user:pass@word@c/v1/traces?token=x", "https://c/v1/traces"),
        ("user:pass@c:1", "c:1"),
    ] {
        assert_eq!(redacted(endpoint), shown);
    }
}

#[test]
fn f10_numbers_are_within_limits() {
    let number = |value: &'static str| {
        let get = move |_: &str| Some(value.to_owned());
        numbers::number(&Variables(&get), "OTEL_BSP_MAX_QUEUE_SIZE")
    };
    let found = [" 7 ", "0", "99999999999999", "18446744073709551616", "-1", ""].map(number);
    assert_eq!(found, [Some(7), Some(1), Some(1_000_000), Some(1_000_000), None, None]);
}
