//! Settings that the libraries read, and that they pass over without a word if they cannot follow them.

use super::{Variables, numbers};

/// The samplers with a ratio, and those without.
const RATIO_SAMPLERS: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];
const SAMPLERS: [&str; 4] = ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];

/// Adds a sentence for each setting that is not followed.
pub(super) fn add(variables: &Variables<'_>, warnings: &mut Vec<String>) {
    numbers::add(variables, warnings);
    sampler(variables, warnings);
    headers(variables, warnings);
    resource(variables, warnings);
    if let Some((variable, value)) = variables.of_exporter("COMPRESSION")
        && !value.eq_ignore_ascii_case("none")
    {
        warnings.push(format!("{variable}={value:?}: spans are sent without compression"));
    }
    let propagators = variables.get("OTEL_PROPAGATORS").unwrap_or_default();
    for other in propagators.split(',').map(str::trim) {
        if !["", "tracecontext", "baggage", "none"].contains(&other) {
            warnings
                .push(format!("OTEL_PROPAGATORS: there is no propagator {other:?}: runs use tracecontext"));
        }
    }
}

fn sampler(variables: &Variables<'_>, warnings: &mut Vec<String>) {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(sampler) = variables.get(NAME) else { return };
    if RATIO_SAMPLERS.contains(&sampler.as_str()) {
        let Some(ratio) = variables.get(ARGUMENT) else { return };
        if !ratio.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)) {
            warnings.push(format!("{ARGUMENT}={ratio:?} is not a number from 0 to 1: all runs are kept"));
        }
    } else if !SAMPLERS.contains(&sampler.as_str()) {
        warnings.push(format!(
            "{NAME}: there is no sampler {sampler:?}, so all runs are kept unless their caller's trace is not: use {} or {}",
            SAMPLERS.join(", "),
            RATIO_SAMPLERS.join(", ")
        ));
    }
}

/// Values of headers are secrets as a rule, so they are not shown.
fn headers(variables: &Variables<'_>, warnings: &mut Vec<String>) {
    let Some((variable, headers)) = variables.of_exporter("HEADERS") else { return };
    for (position, header) in headers.split(',').enumerate().filter(|(_, header)| !header.trim().is_empty()) {
        let name = header.split_once('=').map(|(name, _value)| name.trim());
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !name.is_some_and(is_name) {
            warnings.push(format!("{variable}: header {} is not name=value: it is not sent", position + 1));
        }
    }
}

fn resource(variables: &Variables<'_>, warnings: &mut Vec<String>) {
    let attributes = variables.get(super::RESOURCE).unwrap_or_default();
    for pair in attributes.split(',').filter(|pair| !pair.trim().is_empty()) {
        if pair.split_once('=').is_none_or(|(name, _value)| name.trim().is_empty()) {
            warnings.push(format!("{}: {pair:?} is not name=value: it is left out", super::RESOURCE));
        }
    }
}
