//! Parses an address that came as one line: flat, house, street, town.
//!
//! The forms differ by system (`Flat 2, 60 Station Rd`, `2/60 Station Road`, `FLAT 2 60 STATION
//! RD`), the dwelling does not. What cannot be told apart without a gazetteer is not guessed at:
//! without a word that ends a street's name, everything after the number is the street.

use super::{
    remark, street,
    token::{ROOMS, UNITS, agreed_number, is_number, is_unit_id},
};

/// The parts of an address line, in agreed spelling.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Parsed {
    /// Flat, room or unit: `2`, `4b`, `ground`.
    pub(super) flat: Option<String>,
    /// House number or name: `60`, `12a`, `12-14`, `rosecottage`.
    pub(super) house: Option<String>,
    /// Street: `station rd`.
    pub(super) street: Option<String>,
    /// Town: `leicester`.
    pub(super) town: Option<String>,
    /// True when the unit is a room, so that the house is shared.
    pub(super) room: bool,
}

/// Reads words from the front of an address.
struct Lead<'a> {
    parsed: Parsed,
    rest: &'a [String],
}

impl Lead<'_> {
    /// Takes units and floors off the front; true if something was taken.
    fn unit(&mut self) -> bool {
        let word = |at: usize| self.rest.get(at).map_or("", String::as_str);
        let (id, taken) = match (word(0), word(1), word(2)) {
            (unit, id, _) if UNITS.contains(&unit) && is_unit_id(id) => (agreed_number(id), 2),
            ("no" | "number", id, _) if is_number(id) => (String::new(), 1),
            ("lower", "ground", "floor" | "flat") => ("lowerground".into(), 2),
            ("gff", ..) => ("ground".into(), 1),
            (floor, "floor" | "flat", _) if floor_name(floor).is_some() => {
                (floor_name(floor).unwrap_or_default().to_owned(), 1)
            }
            _ => return false,
        };
        if !id.is_empty() {
            self.parsed.room |= ROOMS.contains(&word(0));
            self.parsed.flat.get_or_insert(id);
        }
        self.rest = &self.rest[taken..];
        while self.rest.first().is_some_and(|word| word == "floor" || word == "flat")
            && !self.rest.get(1).is_some_and(|word| is_unit_id(word) && word.len() == 1)
            && !self.is_unit_ahead()
        {
            self.rest = &self.rest[1..];
        }
        true
    }

    fn is_unit_ahead(&self) -> bool {
        self.rest.len() > 2 && is_number(&self.rest[1]) && is_number(&self.rest[2])
    }

    /// Takes the house number off the front; true if it is there. `next` is what follows the
    /// front's segment.
    fn number(&mut self, next: Option<&String>) -> bool {
        let Some(number) = self.rest.first().filter(|word| is_number(word)) else {
            return false;
        };
        let after = self.rest.get(1);
        let another = after.or(next).is_some_and(|word| is_number(word));
        if let Some((flat, house)) = number.split_once('/') {
            self.rest = &self.rest[1..];
            if another {
                // Floor and flat of a Scottish tenement, then the house.
                self.parsed.flat.get_or_insert(agreed_number(number));
                return self.number(None);
            }
            self.parsed.flat.get_or_insert(agreed_number(flat));
            self.parsed.house = Some(agreed_number(house));
            return true;
        }
        if another && self.parsed.flat.is_none() {
            self.parsed.flat = Some(agreed_number(number));
            self.rest = &self.rest[1..];
            return self.number(None);
        }
        let letter = after.filter(|word| {
            word.len() == 1
                && "abcdfgh".contains(word.as_str())
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        let taken = 1 + usize::from(letter.is_some());
        self.parsed.house = Some(agreed_number(number) + letter.map_or("", String::as_str));
        self.rest = &self.rest[taken..];
        true
    }
}

fn floor_name(word: &str) -> Option<&'static str> {
    Some(match word {
        "basement" => "basement",
        "ground" | "grd" | "gnd" => "ground",
        "first" | "1st" => "first",
        "second" | "2nd" => "second",
        "third" | "3rd" => "third",
        "fourth" | "4th" => "fourth",
        "top" => "top",
        "attic" => "attic",
        "garden" => "garden",
        _ => return None,
    })
}

/// Parses the segments of a line.
pub(super) fn parse(segments: &[Vec<String>]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut names: Vec<&[String]> = Vec::new();
    let mut at = 0;
    while let Some(segment) = segments.get(at) {
        let next = segments.get(at + 1).and_then(|segment| segment.first());
        let mut lead = Lead { parsed: std::mem::take(&mut parsed), rest: segment };
        let mut housed = false;
        let mut named = false;
        loop {
            while lead.unit() {}
            housed |= lead.number(next);
            if housed || named {
                break;
            }
            // A building's name may stand before the number: `Rose Court 12 High St`.
            let Some(number) = inner_number(lead.rest) else { break };
            named = true;
            lead.rest = &lead.rest[number..];
        }
        let rest = lead.rest;
        parsed = lead.parsed;
        at += 1;
        if housed {
            finish(&mut parsed, rest, &segments[at..]);
            return parsed;
        }
        if let Some((street, number)) = trailing_number(rest) {
            parsed.house = Some(agreed_number(number));
            finish(&mut parsed, street, &segments[at..]);
            return parsed;
        }
        if !rest.is_empty() {
            names.push(rest);
        }
    }
    without_number(&mut parsed, &names);
    parsed
}

/// Finds a house number after other words, with the street after it or in the next segment.
fn inner_number(words: &[String]) -> Option<usize> {
    let at = (1..words.len()).find(|at| {
        let before = words[at - 1].as_str();
        is_number(&words[*at]) && !names_by_number(before) && !UNITS.contains(&before)
    })?;
    // `W 66 St` is a street of a gridiron town.
    let building = words[..at].iter().any(|word| !street::is_direction(word));
    (building && at + 1 < words.len()).then_some(at)
}

/// Returns whether a number after a word is part of a name: `Highway 69`, `Block 3`.
fn names_by_number(word: &str) -> bool {
    matches!(
        street::agreed(word),
        "hwy" | "route" | "sr" | "us" | "rural" | "box" | "block" | "phase"
    )
}

/// Splits `Station Road 60` into street and number.
fn trailing_number(words: &[String]) -> Option<(&[String], &String)> {
    let (number, street) = words.split_last()?;
    let ends = |word: &String| street::ends_street(word) && !names_by_number(word);
    let ends = street.len() > 1 && street.last().is_some_and(ends);
    (ends && is_number(number) && !number.contains('/')).then_some((street, number))
}

/// Reads street and town once the house is known.
fn finish(parsed: &mut Parsed, rest: &[String], later: &[Vec<String>]) {
    let mut later: Vec<&[String]> = later.iter().map(Vec::as_slice).collect();
    later.retain(|segment| !take_unit(parsed, segment));
    let words = if rest.is_empty() && !later.is_empty() { later.remove(0) } else { rest };

    let unit = (1..words.len()).find(|at| UNITS.contains(&words[*at].as_str()));
    let (words, trailing) = words.split_at(unit.unwrap_or(words.len()));
    take_unit(parsed, trailing);

    let (street, beyond) = words.split_at(street::length(words));
    parsed.street = street::write(street);
    parsed.town = town(&later).or_else(|| town(&[beyond]));
}

/// Takes `Flat 2` after the street; true if the segment was nothing else.
fn take_unit(parsed: &mut Parsed, segment: &[String]) -> bool {
    let mut lead = Lead { parsed: Parsed::default(), rest: segment };
    let taken = lead.unit();
    if taken {
        parsed.flat = parsed.flat.take().or(lead.parsed.flat);
        parsed.room |= lead.parsed.room;
    }
    taken && lead.rest.is_empty()
}

/// Reads an address without a house number: a name, a street, a town, any of which may be missing.
fn without_number(parsed: &mut Parsed, names: &[&[String]]) {
    let Some(first) = names.first() else {
        return;
    };
    let ends = |test: fn(&str) -> bool| {
        names.iter().position(|words| words.len() > 1 && words[1..].iter().any(|word| test(word)))
    };
    let street_at = match ends(street::ends_street).or_else(|| ends(street::may_end_street)) {
        Some(at) => at,
        None if names.len() > 1 && first.last().is_some_and(|word| street::ends_building(word)) => {
            1
        }
        None => 0,
    };
    let mut words = names[street_at];
    let mut name: &[String] = if street_at > 0 { first } else { &[] };
    if name.is_empty()
        && let Some(at) =
            words[..words.len() - 1].iter().position(|word| street::ends_building(word))
        && at > 0
        && !street::may_end_street(&words[at + 1])
    {
        (name, words) = words.split_at(at + 1);
    }
    // A building and a street that ends like one: `Flat 3, Rose Court, High Street`.
    if name.is_empty()
        && names.get(1).is_some_and(|next| {
            street_at == 0 && next.last().is_some_and(|word| street::ends_street(word))
        })
        && words
            .last()
            .is_some_and(|word| matches!(street::agreed(word), "ct" | "gdns" | "mews" | "pl"))
    {
        (name, words) = (words, names[1]);
    }
    let last_used = names.iter().position(|other| std::ptr::eq(*other, words)).unwrap_or(street_at);
    parsed.house = Some(name.iter().map(|word| street::agreed(word)).collect())
        .filter(|name: &String| !name.is_empty());
    let (street, beyond) = words.split_at(street::length(words));
    parsed.street = street::write(street);
    parsed.town = town(&names[last_used + 1..]).or_else(|| town(&[beyond]));
    if parsed.house.is_none() && parsed.street.is_some() {
        // `Flat 3, Rose Court` is what others call `3 Rose Court`.
        parsed.house = parsed.flat.take();
    }
}

/// Returns the town among what follows a street: the last part that is no county.
fn town(segments: &[&[String]]) -> Option<String> {
    let county = |words: &&&[String]| {
        words.len() == 1 && (words[0].ends_with("shire") || COUNTIES.contains(&words[0].as_str()))
    };
    let named = |words: &&&[String]| !words.is_empty() && !remark::is_unknown(words);
    let segment = segments.iter().filter(named).rfind(|words| !county(words))?;
    Some(agreed_town(segment))
}

/// Writes a town's name in agreed spelling.
pub(super) fn agreed_town(words: &[String]) -> String {
    let words: Vec<&str> =
        words.iter().map(|word| if word == "saint" { "st" } else { word.as_str() }).collect();
    words.join(" ")
}

const COUNTIES: &[&str] = &[
    "leics",
    "notts",
    "lincs",
    "derbys",
    "northants",
    "beds",
    "bucks",
    "berks",
    "cambs",
    "hants",
    "herts",
    "lancs",
    "staffs",
    "warks",
    "wilts",
    "worcs",
    "yorks",
    "oxon",
    "salop",
    "essex",
    "kent",
    "surrey",
    "sussex",
    "norfolk",
    "suffolk",
    "devon",
    "dorset",
    "cornwall",
    "cumbria",
    "middlesex",
    "uk",
    "england",
    "wales",
    "scotland",
];

/// Parses a house column: a number or name, perhaps with a flat.
pub(super) fn parse_house(segments: &[Vec<String>]) -> Parsed {
    let words: Vec<String> = segments.concat();
    let mut lead = Lead { parsed: Parsed::default(), rest: &words };
    let mut flat_first = false;
    while lead.unit() {
        flat_first = true;
    }
    if flat_first || lead.rest.first().is_some_and(|word| word.contains('/')) {
        lead.number(None);
    }
    let Lead { mut parsed, rest } = lead;
    let unit = (1..rest.len()).find(|at| UNITS.contains(&rest[*at].as_str()));
    let (house, trailing) = rest.split_at(unit.unwrap_or(rest.len()));
    take_unit(&mut parsed, trailing);
    if parsed.house.is_none() && !house.is_empty() {
        let joined: String = house.iter().map(|word| street::agreed(word)).collect();
        parsed.house = Some(if is_number(&joined) { agreed_number(&joined) } else { joined });
    }
    parsed
}

/// Reads a street column beside a house column that says `house`.
pub(super) fn parse_street(segments: &[Vec<String>], house: &Parsed) -> Parsed {
    let Some(first) = segments.first() else {
        return Parsed::default();
    };
    let mut lead = Lead { parsed: Parsed::default(), rest: first };
    lead.unit();
    if lead.rest.len() > 1
        && house.house.as_ref() == lead.rest.first().map(|n| agreed_number(n)).as_ref()
    {
        lead.rest = &lead.rest[1..];
    }
    Parsed { street: street::write(lead.rest), ..lead.parsed }
}

#[cfg(test)]
mod tests;
