//! What the operating system said, with the operation and the peer.

use std::fmt::{self, Display};
use std::io;

/// `error` told as "`operation`: what the system said", of the same kind; the source is kept.
pub(crate) fn in_operation(operation: impl Display, error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        OperationError {
            operation: operation.to_string(),
            error,
        },
    )
}

#[derive(Debug)]
struct OperationError {
    operation: String,
    error: io::Error,
}

impl Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.error.to_string();
        let mut letters = text.chars();
        let first = letters
            .next()
            .map(|first| first.to_ascii_lowercase())
            .unwrap_or_default();
        write!(f, "{}: {first}{}", self.operation, letters.as_str())
    }
}

impl std::error::Error for OperationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_in_operation_names_it_and_keeps_the_source() {
        let refused = io::Error::from_raw_os_error(111);
        let kind = refused.kind();
        let error = in_operation("connect to node 2 at 127.0.0.2:21064", refused);
        assert_eq!(error.kind(), kind);
        let text = error.to_string();
        assert_eq!(
            text,
            "connect to node 2 at 127.0.0.2:21064: connection refused (os error 111)"
        );
        let source = error
            .get_ref()
            .and_then(|inner| inner.source())
            .expect("the source is kept");
        assert_eq!(
            source
                .downcast_ref::<io::Error>()
                .and_then(io::Error::raw_os_error),
            Some(111)
        );
    }
}
