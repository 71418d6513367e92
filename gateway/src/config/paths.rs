//! Which request paths does a path in the configuration mean? One, or a tree; byte for byte unless case is folded.

use super::values::Expected;

/// A path and all below it: `/admin` and `/admin/` both mean `/admin` and `/admin/x`, never `/administrator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTree(String);

impl PathTree {
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        let root = canonical(text)?.trim_end_matches('/');
        Ok(Self(root.to_owned()))
    }

    /// Whether the tree has this path.
    pub(crate) fn covers(&self, path: &str, fold_case: bool) -> bool {
        let Some((start, rest)) = path.as_bytes().split_at_checked(self.0.len()) else {
            return false;
        };
        same(start, self.0.as_bytes(), fold_case) && matches!(rest.first(), None | Some(b'/'))
    }

    /// The number of bytes that tell which of two trees is the deeper one.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// What all paths of the tree begin with: its topmost path without a slash at its end.
    pub(super) fn prefix(&self) -> &str {
        &self.0
    }

    /// The topmost path of the tree.
    pub(crate) fn root(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }
}

/// A path that is written for itself, or with a slash at its end for the tree below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathRule {
    /// `/health`: this path only.
    Exact(String),
    /// `/static/`: `/static` and all below it.
    Tree(PathTree),
}

impl PathRule {
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        if text.ends_with('/') {
            PathTree::parse(text).map(Self::Tree)
        } else {
            canonical(text).map(|path| Self::Exact(path.to_owned()))
        }
    }

    /// Whether the rule means this path.
    pub(crate) fn covers(&self, path: &str, fold_case: bool) -> bool {
        match self {
            Self::Exact(exact) => same(path.as_bytes(), exact.as_bytes(), fold_case),
            Self::Tree(tree) => tree.covers(path, fold_case),
        }
    }

    /// The path itself, or the topmost of its tree.
    pub(super) fn root(&self) -> &str {
        match self {
            Self::Exact(path) => path,
            Self::Tree(tree) => tree.root(),
        }
    }
}

/// Refuses what no request path that the gateway accepts could match.
fn canonical(text: &str) -> Result<&str, Expected> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !br#"%\;?#"<>^`{|}"#.contains(&byte);
    let inner = text.strip_prefix('/').filter(|inner| inner.bytes().all(plain));
    let segments = inner.map(|inner| inner.strip_suffix('/').unwrap_or(inner));
    match segments {
        Some("") if text == "/" => Ok(text),
        Some(segments)
            if segments
                .split('/')
                .all(|segment| !segment.is_empty() && !segment.ends_with('.')) =>
        {
            Ok(text)
        }
        _ => Err(Expected::new(
            "a path such as /api/: from `/` on, in plain characters, without empty segments, dot segments, `%`, `;`, `?` or `#`",
        )),
    }
}

fn same(left: &[u8], right: &[u8], fold_case: bool) -> bool {
    if fold_case {
        left.eq_ignore_ascii_case(right)
    } else {
        left == right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_covers_its_root_and_what_is_below_and_nothing_beside_it() {
        for written in ["/admin", "/admin/"] {
            let tree = PathTree::parse(written).unwrap();
            assert!(tree.covers("/admin", false));
            assert!(tree.covers("/admin/", false));
            assert!(tree.covers("/admin/x", false));
            assert!(!tree.covers("/administrator", false));
            assert!(!tree.covers("/adm", false));
            assert!(!tree.covers("/ADMIN/x", false));
            assert!(tree.covers("/ADMIN/x", true));
        }
    }

    #[test]
    fn the_root_covers_every_path() {
        let tree = PathTree::parse("/").unwrap();
        assert!(tree.covers("/", false));
        assert!(tree.covers("/x", false));
        assert_eq!(tree.root(), "/");
    }

    #[test]
    fn a_rule_without_a_slash_at_its_end_means_one_path() {
        let rule = PathRule::parse("/health").unwrap();
        assert!(rule.covers("/health", false));
        assert!(!rule.covers("/health/", false));
        assert!(!rule.covers("/health/x", false));
        assert!(PathRule::parse("/static/").unwrap().covers("/static/x", false));
    }
}
