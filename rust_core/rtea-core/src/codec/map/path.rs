//! Where a value is in a foreign event: a JSON Pointer (RFC 6901) with two additions.
//!
//! `*` stands for each element of an array, and `[key=NAME]` after a name selects the element of a list of objects whose
//! member `key` is `NAME`: `/event_params[key=ga_session_id]/value/int_value`.

/// One step from a value to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object, or an element of an array by its number.
    Key(String),
    /// Each element of an array.
    Each,
    /// The element of an array of objects, a member of which has a certain text.
    Where { member: String, text: String },
}

/// Most steps of a path.
const MOST_STEPS: usize = 128;

/// Reads a path; the empty one is the whole event.
///
/// # Errors
/// What was expected.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let Some(path) = path.strip_prefix('/') else {
        return Err(format!("path {path:?}: expected a JSON Pointer, which is empty or starts with /"));
    };
    if path.split('/').count() > MOST_STEPS {
        return Err(format!("a path of more than {MOST_STEPS} steps: expected fewer, events nest at most as deep"));
    }
    let mut steps = Vec::new();
    for token in path.split('/') {
        if token == "*" {
            steps.push(Step::Each);
            continue;
        }
        let (name, selected) = match token.strip_suffix(']').and_then(|token| token.split_once('[')) {
            Some((name, selected)) => (name, Some(selected)),
            None => (token, None),
        };
        steps.push(Step::Key(unescaped(name)?));
        if let Some(selected) = selected {
            let (member, text) = selected
                .split_once('=')
                .ok_or_else(|| format!("path /{path}: [{selected}]: expected [key=NAME] for an element of a list"))?;
            steps.push(Step::Where { member: unescaped(member)?, text: unescaped(text)? });
        }
    }
    Ok(steps)
}

/// `~1` is a slash and `~0` a tilde.
fn unescaped(token: &str) -> Result<String, String> {
    let mut rest = token;
    let mut found = String::with_capacity(token.len());
    while let Some((before, after)) = rest.split_once('~') {
        found.push_str(before);
        found.push(match after.as_bytes().first() {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => return Err(format!("path token {token:?}: expected ~0 (a tilde) or ~1 (a slash) after each tilde")),
        });
        rest = &after[1..];
    }
    found.push_str(rest);
    Ok(found)
}
