//! What is in a PEM file (RFC 7468), and how is one written?

use pem::{EncodeConfig, LineEnding, Pem};

/// Says why a text is not the PEM that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPem {
    /// There is none at all.
    #[error("expected a PEM block `-----BEGIN {expected}-----`, found none")]
    Missing {
        /// The label looked for.
        expected: &'static str,
    },
    /// There is something else.
    #[error("expected a PEM block `-----BEGIN {expected}-----`, found `-----BEGIN {found}-----`")]
    Label {
        /// The label looked for.
        expected: &'static str,
        /// The label there is.
        found: String,
    },
    /// There is more than one.
    #[error("expected one PEM block, found {found}")]
    Several {
        /// How many there are.
        found: usize,
    },
    /// A block is cut off or garbled.
    #[error("PEM block {number} is cut off or garbled: expected base64 between matching BEGIN and END lines")]
    Garbled {
        /// Which one, counted from 1.
        number: usize,
    },
}

/// Reads all certificates of a PEM text, at least one, in DER. Whether they are certificates is not looked at.
///
/// # Errors
///
/// Refuses a text with no block, with one of another label, or with one that is garbled.
pub fn read_certificates(text: &str) -> Result<Vec<Vec<u8>>, BadPem> {
    all_blocks(text, &[CERTIFICATE])
}

/// Reads the only block of a text; its label must be one of those given, of which the first goes into messages.
pub(crate) fn one_block(text: &str, labels: &[&'static str]) -> Result<Vec<u8>, BadPem> {
    let mut blocks = all_blocks(text, labels)?;
    let found = blocks.len();
    blocks.pop().filter(|_| found == 1).ok_or(BadPem::Several { found })
}

/// Reads all blocks of a text, at least one; text around them is skipped.
pub(crate) fn all_blocks(text: &str, labels: &[&'static str]) -> Result<Vec<Vec<u8>>, BadPem> {
    let expected = labels.first().copied().unwrap_or_default();
    let begun = text.matches("-----BEGIN ").count();
    if begun == 0 {
        return Err(BadPem::Missing { expected });
    }
    // The parser stops at a block without an end as if nothing had begun there.
    let blocks = pem::parse_many(text).map_err(|_| BadPem::Garbled {
        number: first_garbled(text),
    })?;
    if blocks.len() != begun {
        return Err(BadPem::Garbled {
            number: blocks.len().saturating_add(1),
        });
    }
    blocks
        .into_iter()
        .map(|block| contents(block, labels, expected))
        .collect()
}

/// Writes one block.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    pem::encode_config(
        &Pem::new(label, der),
        EncodeConfig::new().set_line_ending(LineEnding::LF),
    )
}

fn contents(block: Pem, labels: &[&str], expected: &'static str) -> Result<Vec<u8>, BadPem> {
    if labels.contains(&block.tag()) {
        Ok(block.into_contents())
    } else {
        Err(BadPem::Label {
            expected,
            found: block.tag().to_owned(),
        })
    }
}

fn first_garbled(text: &str) -> usize {
    let starts = text.match_indices("-----BEGIN ").map(|(at, _)| at);
    let readable = starts.take_while(|at| text.get(*at..).is_some_and(|rest| pem::parse(rest).is_ok()));
    readable.count().saturating_add(1)
}

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_block_is_read_whatever_stands_around_it() {
        let text = format!("subject=somebody\n{}\ntrailing words", encode(CERTIFICATE, b"abc"));
        assert_eq!(one_block(&text, &[CERTIFICATE]), Ok(b"abc".to_vec()));
    }

    #[test]
    fn what_is_not_one_block_of_the_kind_is_refused_with_what_was_found() {
        let block = encode(CERTIFICATE, b"abc");
        let key = encode("PRIVATE KEY", b"abc");
        let refusals = [
            ("", BadPem::Missing { expected: CERTIFICATE }),
            (
                key.as_str(),
                BadPem::Label {
                    expected: CERTIFICATE,
                    found: "PRIVATE KEY".to_owned(),
                },
            ),
            (&block.repeat(2), BadPem::Several { found: 2 }),
            (
                &format!("{block}-----BEGIN CERTIFICATE-----\nYWJj\n"),
                BadPem::Garbled { number: 2 },
            ),
            (
                &format!("{block}{}", block.replace("YWJj", "YW*j")),
                BadPem::Garbled { number: 2 },
            ),
            (
                &block.replace("END CERTIFICATE", "END KEY"),
                BadPem::Garbled { number: 1 },
            ),
        ];
        for (text, refusal) in refusals {
            assert_eq!(one_block(text, &[CERTIFICATE]), Err(refusal), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|YWJj|\\PC|\n){0,12}") {
            if let Ok(blocks) = all_blocks(&text, &[CERTIFICATE]) {
                prop_assert!(!blocks.is_empty());
            }
        }
    }
}
