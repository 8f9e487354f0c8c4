//! Resource names (spec: wire 3, 6).

use core::fmt;

use crate::error::ErrorKind;
use crate::hash::resource_hash;

/// The longest resource name in bytes; what kernels call `DLM_RESNAME_MAXLEN`.
pub const NAME_LEN_MAX: usize = 64;

/// A resource name: 1 to 64 bytes, any bytes, no terminator.
///
/// Shown with ASCII escapes, because names are binary: `"test1"` is `test1`, a NUL is `\x00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName<'a>(&'a [u8]);

impl<'a> ResourceName<'a> {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NameLength`] for 0 or more than 64 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, ErrorKind> {
        match bytes.len() {
            1..=NAME_LEN_MAX => Ok(Self(bytes)),
            length => Err(ErrorKind::NameLength { length }),
        }
    }

    /// The name's bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What `m_hash` says of this name, see [`resource_hash`].
    pub fn hash(self) -> u32 {
        resource_hash(self.0)
    }
}

impl fmt::Display for ResourceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for ResourceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceName(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_have_1_to_64_bytes() {
        assert_eq!(ResourceName::new(b""), Err(ErrorKind::NameLength { length: 0 }));
        assert_eq!(
            ResourceName::new(&[7; 65]),
            Err(ErrorKind::NameLength { length: 65 })
        );
        assert!(ResourceName::new(&[7; 64]).is_ok());
    }

    #[test]
    fn names_show_binary_bytes_escaped() {
        assert_eq!(
            ResourceName::new(b"a\0\"\xff").map(|name| name.to_string()),
            Ok(r#"a\x00\"\xff"#.into())
        );
    }
}
