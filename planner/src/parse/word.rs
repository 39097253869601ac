//! Words: which cut a statement into parts, and which one a misspelt word was meant to be.

/// The candidate nearest to `word`, if one is near enough to have been meant: of three letters at
/// most one differs. Letter case does not count. Of equals the first wins.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let allowed = word.len() / 3;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().take(64).collect();
        if letters.len().abs_diff(word.len()) > allowed {
            continue;
        }
        let distance = distance(&word, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether a word ends a chain of operators: what follows is a new branch of the tree.
pub(super) fn separates_chains(word: &str) -> bool {
    const WORDS: [&str; 14] = [
        "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "ON", "JOIN", "WHEN", "THEN",
        "ELSE", "VALUES", "SET", "AS",
    ];
    WORDS.iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Whether a word starts a query.
pub(super) fn starts_query(word: &str) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Whether a word joins two conditions.
pub(super) fn is_logical(word: &str) -> bool {
    ["AND", "OR"].iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Whether a word joins two queries into one.
pub(super) fn combines_queries(word: &str) -> bool {
    ["UNION", "INTERSECT", "EXCEPT"].iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Edits between two words: insertion, deletion, substitution and the swap of neighbours cost one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j + 1] + 1).min(row[j] + 1).min(last[j] + usize::from(x != y));
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word() {
        assert_eq!(nearest("hedaer", ["delimiter", "header", "null"]), Some("header"));
        assert_eq!(nearest("SELEC", ["INSERT", "SELECT"]), Some("SELECT"));
        assert_eq!(nearest("form", ["where", "FROM"]), Some("FROM"));
    }

    #[test]
    fn a_stranger_finds_none() {
        assert_eq!(nearest("banana", ["delimiter", "header", "null"]), None);
        assert_eq!(nearest("b", ["BY"]), None);
        assert_eq!(nearest("", ["header"]), None);
    }
}
