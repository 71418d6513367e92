//! Where in the file is a key? Reads YAML into the raw configuration and keeps the line of every key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser};

use super::problems::{ConfigErrors, Problem};
use super::raw::RawConfig;

/// The file that is being checked.
pub(super) struct Source {
    /// Its path, as it was given.
    pub(super) file: PathBuf,
    lines: HashMap<String, usize>,
}

impl RawConfig {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    ///
    /// The text is not UTF-8 or not YAML, repeats a key, or has a key or a type that no configuration has.
    pub(super) fn parse(file: &Path, bytes: Vec<u8>) -> Result<(Self, Source), ConfigErrors> {
        let refused = |problems| ConfigErrors::Refused {
            file: file.to_owned(),
            problems,
        };
        let text = String::from_utf8(bytes).map_err(|error| refused(vec![not_utf8(&error)]))?;
        let (lines, repeated) = lines_of(&text);
        if !repeated.is_empty() {
            return Err(refused(repeated));
        }
        let raw = serde_yaml::from_str(&text).map_err(|error| refused(vec![not_a_configuration(&error)]))?;
        Ok((
            raw,
            Source {
                file: file.to_owned(),
                lines,
            },
        ))
    }
}

impl Source {
    /// The line of a key, or of the nearest one around it that the file has.
    pub(super) fn line(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return *line;
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = key.get(..end).unwrap_or_default(),
                None => return 1,
            }
        }
    }

    /// A path of the configuration, seen from the file's own directory.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// A mapping or a list that the parser is inside of.
enum Open {
    Mapping { path: String, key: Option<String> },
    List { path: String, next: usize },
}

/// Walks through the text and notes the line of every key and list item, and the keys that a mapping has twice.
/// It stops where the text is no YAML: whoever parses it next says why.
fn lines_of(text: &str) -> (HashMap<String, usize>, Vec<Problem>) {
    let mut walk = Walk {
        lines: HashMap::new(),
        repeated: Vec::new(),
        open: Vec::new(),
    };
    for item in Parser::new_from_str(text) {
        let Ok((event, span)) = item else { break };
        walk.step(event, span.start.line());
        if walk.open.len() > DEEPEST {
            break;
        }
    }
    (walk.lines, walk.repeated)
}

struct Walk {
    lines: HashMap<String, usize>,
    repeated: Vec<Problem>,
    open: Vec<Open>,
}

impl Walk {
    fn step(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Scalar(text, ..) => self.scalar(&text, line),
            Event::Alias(_) => drop(self.value(line)),
            Event::MappingStart(..) => {
                let path = self.value(line);
                self.open.push(Open::Mapping { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = self.value(line);
                self.open.push(Open::List { path, next: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => drop(self.open.pop()),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    /// A scalar is a key where a mapping waits for one, else a value.
    fn scalar(&mut self, text: &str, line: usize) {
        if let Some(Open::Mapping { path, key: key @ None }) = self.open.last_mut() {
            let whole = if path.is_empty() {
                text.to_owned()
            } else {
                format!("{path}.{text}")
            };
            if self.lines.insert(whole.clone(), line).is_some() {
                let message = "expected each key once, found it a second time".to_owned();
                self.repeated.push(Problem {
                    line,
                    key: whole.clone(),
                    message,
                });
            }
            *key = Some(whole);
        } else {
            self.value(line);
        }
    }

    /// Takes the next value's place, and says what its path is.
    fn value(&mut self, line: usize) -> String {
        match self.open.last_mut() {
            None => String::new(),
            Some(Open::Mapping { key, .. }) => key.take().unwrap_or_default(),
            Some(Open::List { path, next }) => {
                let item = format!("{path}[{next}]");
                *next += 1;
                self.lines.insert(item.clone(), line);
                item
            }
        }
    }
}

fn not_utf8(error: &std::string::FromUtf8Error) -> Problem {
    let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
    let line = 1 + valid.filter(|byte| **byte == b'\n').count();
    Problem {
        line,
        key: String::new(),
        message: "expected text in UTF-8, found other bytes".to_owned(),
    }
}

/// Says in this file's words what the YAML reader says: keys instead of fields, lists instead of sequences.
fn not_a_configuration(error: &serde_yaml::Error) -> Problem {
    let mut message = error.to_string();
    let mut line = 1;
    if let Some(location) = error.location() {
        line = location.line();
        message = message.replacen(&format!(" at line {line} column {}", location.column()), "", 1);
    }
    let message = message.replace(" field `", " key `").replace("a sequence", "a list");
    let (key, message) = match message.split_once(": ") {
        Some((key, rest)) if !key.contains(' ') => (key.to_owned(), rest.to_owned()),
        _ => (String::new(), message),
    };
    let message = nearest_key(&message).unwrap_or(message);
    Problem { line, key, message }
}

/// Finds the known key that an unknown one was probably meant to be.
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown key `")?.split('`').step_by(2);
    let unknown = quoted.next()?;
    let known = quoted.map(|key| (strsim::normalized_damerau_levenshtein(unknown, key), key));
    let (likeness, nearest) = known.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness >= LIKELY).then(|| format!("unknown key `{unknown}`, expected `{nearest}`"))
}

/// More levels than a configuration has; below it nothing needs a line.
const DEEPEST: usize = 16;

/// From this likeness (0 to 1) on a known key is offered in place of an unknown one.
const LIKELY: f64 = 0.6;
