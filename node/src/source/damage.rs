//! Recognises values that a spreadsheet has ruined. A ruined reference or date looks like another
//! one, so the row is set aside and not mended.

use super::{check_digit::is_nhs_number, report::Rule};

/// What a value is, as far as damage goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key or reference.
    Reference,
    /// A shared number other than the NHS number.
    Identifier,
    /// An NHS number.
    Nhs,
    /// A date.
    Date,
    /// A house number.
    House,
    /// Anything else.
    Text,
}

impl Kind {
    /// Returns the kind of one of our fields.
    pub(super) fn of(field: &str) -> Self {
        match field {
            "nhs" => Self::Nhs,
            "upn" | "nino" | "uprn" | "other_id" => Self::Identifier,
            "person" | "event_ref" => Self::Reference,
            "dob" | "deceased" | "residence_from" | "residence_to" | "start" | "end" => Self::Date,
            "house" => Self::House,
            _ => Self::Text,
        }
    }
}

/// Returns which damage a value shows, if any.
pub(super) fn find(kind: Kind, value: &str) -> Option<Rule> {
    if is_error(value) {
        return Some(Rule::SpreadsheetError);
    }
    match kind {
        Kind::Reference | Kind::Identifier | Kind::Nhs if is_scientific(value) => {
            Some(Rule::ScientificNumber)
        }
        Kind::Nhs if has_lost_zero(value) => Some(Rule::LostZero),
        Kind::Date if is_serial_date(value) => Some(Rule::SerialDate),
        Kind::House | Kind::Reference if is_month(value) => Some(Rule::TurnedIntoDate),
        _ => None,
    }
}

/// Undoes what spreadsheets and their users do to keep a value as it is: `="0123"`, `'0123`.
pub(super) fn unwrapped(value: &str) -> &str {
    if let Some(inner) = value.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        return inner;
    }
    value
        .strip_prefix('\'')
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or(value)
}

/// `#REF!`, `#N/A`, `########`.
fn is_error(value: &str) -> bool {
    matches!(
        value,
        "#REF!"
            | "#N/A"
            | "#NAME?"
            | "#VALUE!"
            | "#DIV/0!"
            | "#NUM!"
            | "#NULL!"
            | "#SPILL!"
            | "#CALC!"
            | "#GETTING_DATA"
    ) || (value.len() >= 3 && value.bytes().all(|b| b == b'#'))
}

/// `6.32E+11`. Only with its plus sign: `12E3` may be somebody's reference.
fn is_scientific(value: &str) -> bool {
    let Some((mantissa, exponent)) = value.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && exponent.strip_prefix('+').is_some_and(digits)
}

/// `31872`: days since 1900, from 18 May 1927 on.
fn is_serial_date(value: &str) -> bool {
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    whole.len() == 5
        && !whole.starts_with('0')
        && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Nine digits that are a valid NHS or CHI number once the zero before them is put back.
fn has_lost_zero(value: &str) -> bool {
    let digits: String = value.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    digits.len() == 9 && is_nhs_number(&format!("0{digits}"))
}

/// `01-Feb`, `Feb-60`: what a spreadsheet makes of the house numbers 1-2 and 2/60.
fn is_month(value: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let Some((one, other)) = value.split_once('-') else {
        return false;
    };
    let month = |text: &str| MONTHS.contains(&text.to_ascii_lowercase().as_str());
    let number =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (month(one) && number(other)) || (number(one) && month(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_ruins_is_recognised_where_it_matters() {
        use Kind::{Date, House, Identifier, Nhs, Reference, Text};
        for (kind, value, rule) in [
            (Identifier, "6.32E+11", Some(Rule::ScientificNumber)),
            (Reference, "1E+10", Some(Rule::ScientificNumber)),
            (Nhs, "9.99E+09", Some(Rule::ScientificNumber)),
            (Reference, "12E3", None),
            (Text, "6.32E+11", None),
            (Date, "31872", Some(Rule::SerialDate)),
            (Date, "31872.5", Some(Rule::SerialDate)),
            (Date, "060487", None),
            (Date, "1987", None),
            (Text, "31872", None),
            (Nhs, "101701004", Some(Rule::LostZero)),
            (Nhs, "101701005", None),
            (Nhs, "9434765919", None),
            (House, "Feb-60", Some(Rule::TurnedIntoDate)),
            (House, "01-Feb", Some(Rule::TurnedIntoDate)),
            (House, "12-14", None),
            (Reference, "MAR-01", Some(Rule::TurnedIntoDate)),
            (Text, "#REF!", Some(Rule::SpreadsheetError)),
            (Date, "########", Some(Rule::SpreadsheetError)),
            (Text, "#5", None),
        ] {
            assert_eq!(find(kind, value), rule, "{kind:?} {value}");
        }
    }

    #[test]
    fn what_keeps_a_zero_in_front_is_undone() {
        for (value, plain) in
            [("=\"0123\"", "0123"), ("'0123", "0123"), ("'til", "'til"), ("=A1", "=A1")]
        {
            assert_eq!(unwrapped(value), plain);
        }
    }
}
