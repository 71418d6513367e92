//! How does an enum of plain names get its one spelling? The macro gives `ALL`, `as_str`, `Display` and `FromStr`.

/// Says that a text is none of the words of a closed vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {what}: one of {words}")]
pub struct BadWord {
    /// Which vocabulary.
    pub what: &'static str,
    /// Its words, separated by commas.
    pub words: String,
}

macro_rules! words {
    ($name:ident, $what:literal, { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in the order of the definition.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The one spelling of this value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::BadWord;

            fn from_str(text: &str) -> Result<Self, crate::BadWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(crate::BadWord { what: $what, words: [$($word),+].join(", ") }),
                }
            }
        }
    };
}

/// The same, and serde reads and writes that spelling.
macro_rules! serde_words {
    ($name:ident, $what:literal, { $($variant:ident = $word:literal),+ $(,)? }) => {
        crate::words::words!($name, $what, { $($variant = $word),+ });

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {serde_words, words};

#[cfg(test)]
mod tests {
    use crate::{KeyStore, Ownership, Platform, RevocationReason, Scope};

    #[test]
    fn every_word_reads_back_and_is_what_serde_writes() {
        fn check<T>(all: &[T])
        where
            T: Copy + PartialEq + std::fmt::Debug + std::fmt::Display + std::str::FromStr + serde::Serialize,
            T::Err: std::fmt::Debug,
        {
            for word in all {
                assert_eq!(&word.to_string().parse::<T>().unwrap(), word);
                assert_eq!(serde_json::to_string(word).unwrap(), format!("\"{word}\""));
            }
        }

        check(Platform::ALL);
        check(Ownership::ALL);
        check(KeyStore::ALL);
        check(Scope::ALL);
        check(RevocationReason::ALL);
        check(crate::EventType::ALL);
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones() {
        let bad = "Linux".parse::<Platform>().unwrap_err();
        assert_eq!(
            bad.to_string(),
            "expected a platform: one of macos, windows, linux, chromeos, ios, android"
        );
    }
}
