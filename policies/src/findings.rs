//! What is wrong with a policy file, and where? Drawn for people, one line each for logs.

use std::fmt;
use std::mem::discriminant;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// Everything that is wrong with the policy files; none of them was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(Vec<Finding>);

/// One thing to be mended, or to be looked at, in a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    problem: Problem,
    file: String,
    text: Arc<str>,
    span: Range<usize>,
    label: Option<String>,
    help: Option<String>,
}

/// What can be wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not Cedar.
    #[error("{0}")]
    Syntax(String),
    /// A policy has no name, so no answer and no log line could speak of it.
    #[error("the policy has no @id")]
    MissingId,
    /// Two policies have the same name.
    #[error("the @id `{id}` is taken by the policy at {first}")]
    RepeatedId {
        /// The name.
        id: String,
        /// Where it was used first: file, line and column.
        first: String,
    },
    /// It does not fit the schema.
    #[error("{0}")]
    Invalid(String),
    /// It is allowed but probably not what was meant.
    #[error("{0}")]
    Suspicious(String),
}

impl LoadErrors {
    /// Wraps the findings, or says that there were none.
    pub(crate) fn unless_empty(findings: Vec<Finding>) -> Result<(), Self> {
        match findings.is_empty() {
            true => Ok(()),
            false => Err(Self(findings)),
        }
    }

    /// The findings, by file and place.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// Draws every finding with the lines it is about.
    pub fn render(&self, colour: bool) -> String {
        self.0.iter().map(|finding| finding.render(colour)).collect()
    }
}

impl Finding {
    /// A finding about that part of a file.
    pub(crate) fn new(problem: Problem, file: &str, text: &Arc<str>, span: Range<usize>) -> Self {
        Self {
            problem,
            file: file.to_owned(),
            text: Arc::clone(text),
            span,
            label: None,
            help: None,
        }
    }

    /// A finding of Cedar's, with its place and its advice.
    pub(crate) fn from_cedar(problem: Problem, found: &dyn Diagnostic, file: &str, text: &Arc<str>) -> Self {
        let label = found.labels().and_then(|mut labels| labels.next());
        let span = label
            .as_ref()
            .map_or(0..0, |label| label.offset()..label.offset().saturating_add(label.len()));
        Self {
            label: label.and_then(|label| label.label().map(str::to_owned)),
            help: found.help().map(|help| help.to_string()),
            ..Self::new(problem, file, text, span)
        }
    }

    /// What is wrong.
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count().saturating_add(1)
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        let line = self.before().rsplit('\n').next().unwrap_or_default();
        line.chars().count().saturating_add(1)
    }

    /// The offending text, as far as its first line goes.
    pub fn excerpt(&self) -> &str {
        self.text
            .get(self.span.clone())
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
    }

    /// Draws the finding with the lines it is about.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let mut drawn = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH);
        match handler.render_report(
            &mut drawn,
            &Drawing {
                finding: self,
                source: self.source(),
            },
        ) {
            Ok(()) => drawn,
            Err(fmt::Error) => format!("{self}\n"),
        }
    }

    fn same_place(&self, other: &Self) -> bool {
        self.file == other.file && self.span == other.span
    }

    fn before(&self) -> &str {
        self.text.get(..self.span.start).unwrap_or(&self.text)
    }

    fn source(&self) -> NamedSource<String> {
        NamedSource::new(&self.file, self.text.to_string())
    }
}

/// Orders findings by file and place. Cedar says the same of one place once for each action; once is enough.
pub(crate) fn ordered(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_cached_key(|finding| (finding.file.clone(), finding.span.start, finding.problem.to_string()));
    findings.dedup_by(|a, b| a.same_place(b) && discriminant(&a.problem) == discriminant(&b.problem));
    findings
}

/// One line for a log: where, what, and the offending text.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line(), self.column(), self.problem)?;
        if let Some(label) = &self.label {
            write!(f, " ({label})")?;
        }
        match self.excerpt() {
            "" => Ok(()),
            excerpt => write!(f, ": `{excerpt}`"),
        }
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Finding::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for LoadErrors {}

/// A finding with what miette needs to draw it.
#[derive(Debug)]
struct Drawing<'a> {
    finding: &'a Finding,
    source: NamedSource<String>,
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.problem.fmt(f)
    }
}

impl std::error::Error for Drawing<'_> {}

impl Diagnostic for Drawing<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.problem {
            Problem::Suspicious(_) => miette::Severity::Warning,
            Problem::Syntax(_) | Problem::MissingId | Problem::RepeatedId { .. } | Problem::Invalid(_) => {
                miette::Severity::Error
            }
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(self.finding.label.clone(), self.finding.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Columns of a drawing.
const WIDTH: usize = 100;
