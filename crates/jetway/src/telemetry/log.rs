//! The log on standard error.

use std::{
    error::Error,
    fmt::{self, Debug},
    io::{self, IsTerminal},
};
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    Layer,
    field::{RecordFields, VisitOutput},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
    },
    registry::LookupSpan,
};

/// Formats log lines on standard error, in colour on a terminal.
pub(super) fn layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour && io::stderr().is_terminal())
        .fmt_fields(WithoutOtelFields)
}

/// The default format of fields, without the `otel.` fields, which are for the exporter only.
#[derive(Debug)]
struct WithoutOtelFields;

impl<'writer> FormatFields<'writer> for WithoutOtelFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Skipping(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct Skipping<'a>(DefaultVisitor<'a>);

impl Visit for Skipping<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !field.name().starts_with("otel.") {
            self.0.record_debug(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !field.name().starts_with("otel.") {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.record_error(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_omits_fields_for_the_exporter() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(WithoutOtelFields);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("step", otel.name = "step a", otel.kind = %"consumer", node = "a");
            span.in_scope(|| tracing::info!(n = 1, "done"));
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("step{node=\"a\"}") && text.trim_end().ends_with("done n=1"), "{text}");
        assert!(!text.contains("otel."), "{text}");
    }
}
