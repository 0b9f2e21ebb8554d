//! The word that a person probably meant.

/// The nearest of some words to one that is none of them; nothing where none is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of a short word two wrong letters leave nothing.
    let most = if word.chars().count() < 4 { 1 } else { word.chars().count().div_ceil(3) };
    let word = word.to_lowercase().replace('_', "-");
    let distances = known.into_iter().map(|it| (strsim::damerau_levenshtein(&word, it), it));
    distances
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_does_not_guess() {
        let keys = ["store", "staging", "only", "keep", "max-hold", "on-max-hold", "password-file"];
        let check = |word: &str, wanted: Option<&str>| {
            assert_eq!(nearest(word, keys), wanted, "{word}");
        };
        check("stroe", Some("store"));
        check("Store", Some("store"));
        check("max_hold", Some("max-hold"));
        check("maxhold", Some("max-hold"));
        check("password", None);
        check("passwordfile", Some("password-file"));
        check("kep", Some("keep"));
        check("x", None);
        check("retention", None);
    }
}
