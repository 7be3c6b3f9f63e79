//! Draws how the evidence for a link adds up: from the prior odds, field by field, to the match
//! weight. In kinds and levels, never values, so it can be shown to anybody who may see the alert.

use std::fmt::Write;

use super::report::LinkReport;

/// Characters of a text bar on either side of nothing.
const HALF: f64 = 24.0;
/// One picture's width, and the height of a line, in pixels.
const WIDTH: f64 = 720.0;
const LINE: f64 = 22.0;
/// Where bars begin in a picture, right of the names.
const LEFT: f64 = 230.0;

/// One step of the sum.
struct Step {
    name: String,
    bits: f64,
    /// What all steps before come to.
    from: f64,
}

fn steps(link: &LinkReport) -> Vec<Step> {
    let fields = link
        .fields
        .iter()
        .map(|field| (format!("{} (level {})", field.field, field.level), field.bits));
    let parts = link.rest.iter().map(|rest| (rest.what.in_words().to_owned(), rest.bits));
    let undivided = match (link.by_pattern, link.looked_at) {
        (true, None) => "pattern of its match-keys",
        // Earlier versions kept it undivided.
        _ => "numbers, relatives, rivals",
    };
    let whole = link.rest.is_empty() && link.context != 0.0;
    let mut from = 0.0;
    std::iter::once(("odds of any two records".to_owned(), link.prior))
        .chain(fields)
        .chain(parts)
        .chain(whole.then(|| (undivided.to_owned(), link.context)))
        .map(|(name, bits)| {
            let step = Step { name, bits, from };
            from += bits;
            step
        })
        .collect()
}

/// The furthest that the sum gets from nothing.
fn reach(steps: &[Step]) -> f64 {
    let furthest = |step: &Step| step.from.abs().max((step.from + step.bits).abs());
    steps.iter().map(furthest).fold(1.0, f64::max)
}

/// Returns the evidence as lines of text, a bar to each.
pub fn text(link: &LinkReport) -> String {
    let steps = steps(link);
    let scale = HALF / reach(&steps);
    let mut out = String::new();
    for Step { name, bits, from } in &steps {
        let (a, b) = (HALF + from * scale, HALF + (from + bits) * scale);
        let bar: String = (0..=(2.0 * HALF) as usize)
            .map(|at| match at as f64 {
                at if at >= a.min(b).round() && at < a.max(b).round() => {
                    if *bits > 0.0 {
                        '█'
                    } else {
                        '░'
                    }
                }
                at if at == HALF => '│',
                _ => ' ',
            })
            .collect();
        // Writing to a text cannot fail.
        let _ = writeln!(out, "    {name:<28} {bits:+7.1}  {}", bar.trim_end());
    }
    let mut line = |text: &str| {
        let _ = writeln!(out, "    {text}");
    };
    match (link.by_pattern, link.looked_at, link.bits) {
        (true, None, _) => {
            line("decided by the pattern of its match-keys: nobody looked at its fields,");
            line("and pairs that share the same match-keys came to at least as much");
        }
        (true, Some(_), Some(bits)) => {
            line(
                "decided by the pattern of its match-keys before anybody looked: pairs that share",
            );
            line(&format!("the same came to {bits:+.1} and more; its fields, looked at for this:"));
        }
        _ => {}
    }
    if let Some(bits) = link.total() {
        line(&format!("{:<28} {bits:+7.1}  bits: {}", "match weight", link_from(link)));
    }
    out
}

/// Says from which weight on a pair is a link, and why from that.
fn link_from(link: &LinkReport) -> String {
    match (link.link_from, &link.guard) {
        (Some(from), Some(guard)) => format!("link from {from} on, as {guard}"),
        (Some(from), None) => format!("link from {from} on"),
        (None, _) => "no link by whatever weight".to_owned(),
    }
}

/// Says why two records are no link by themselves.
pub fn without_weight(link: &LinkReport) -> String {
    match &link.guard {
        Some(guard) => format!("no link by itself, as {guard}"),
        None => "joined by other records".to_owned(),
    }
}

/// Returns the evidence of every link as one SVG picture.
pub fn svg(links: &[LinkReport]) -> String {
    let mut body = String::new();
    let mut top = 8.0;
    for link in links {
        let [a, b] = &link.agencies;
        let title = match link.bits {
            Some(bits) if link.by_pattern => {
                let seen = link.looked_at.map(|seen| format!("; looked at, {seen:+.1}"));
                let seen = seen.unwrap_or_default();
                format!(
                    "{a} – {b}: {bits:+.1} bits or more, by the pattern of its match-keys{seen}"
                )
            }
            Some(bits) => format!("{a} – {b}: {bits:+.1} bits"),
            None => format!("{a} – {b}: {}", without_weight(link)),
        };
        let kinds = link.kinds.join(", ");
        let _ = writeln!(
            body,
            "<g><title>{title}; shared match-keys: {kinds}</title>\n\
             <text x='8' y='{:.0}' font-weight='bold'>{title}</text>",
            top + 15.0
        );
        top += LINE;
        let _ = writeln!(body, "<text x='16' y='{:.0}'>shared: {kinds}</text>", top + 15.0);
        top += LINE;
        let steps = steps(link);
        let scale = (WIDTH - LEFT - 70.0) / 2.0 / reach(&steps);
        let zero = LEFT + (WIDTH - LEFT - 70.0) / 2.0;
        let bottom = top + LINE * steps.len() as f64;
        let _ = writeln!(
            body,
            "<line x1='{zero:.1}' y1='{top:.1}' x2='{zero:.1}' y2='{bottom:.1}' stroke='#888'/>"
        );
        for Step { name, bits, from } in &steps {
            let (x, y) = (zero + scale * from.min(from + bits), top + 4.0);
            let colour = if *bits < 0.0 { "#b4452c" } else { "#2c6fb4" };
            let (width, height, base) = ((scale * bits.abs()).max(1.0), LINE - 8.0, top + 15.0);
            let _ = writeln!(
                body,
                "<text x='16' y='{base:.1}'>{name}</text>\
                 <rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' fill='{colour}'/>\
                 <text x='{:.1}' y='{base:.1}'>{bits:+.1}</text>",
                WIDTH - 60.0
            );
            top += LINE;
        }
        if let Some(total) = link.total() {
            let _ = writeln!(
                body,
                "<text x='16' y='{0:.1}' font-weight='bold'>match weight; a {2}</text>\
                 <text x='{1:.1}' y='{0:.1}' font-weight='bold'>{total:+.1}</text>",
                top + 15.0,
                WIDTH - 60.0,
                link_from(link)
            );
            top += LINE;
        }
        body.push_str("</g>\n");
        top += LINE;
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{top:.0}' \
         font-family='sans-serif' font-size='13'>\n<rect width='100%' height='100%' \
         fill='white'/>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use causeway_proto::linkage::levels::ComparisonField;

    use super::{
        super::report::{FieldReport, Rest, RestReport},
        *,
    };

    fn link() -> LinkReport {
        LinkReport {
            agencies: ["police".parse().unwrap(), "housing".parse().unwrap()],
            bits: Some(4.0),
            prior: -12.0,
            kinds: vec!["surname+birth".into()],
            by_pattern: false,
            looked_at: None,
            fields: vec![
                FieldReport { field: ComparisonField::ALL[0], level: 3, bits: 10.5 },
                FieldReport { field: ComparisonField::ALL[1], level: 0, bits: -2.5 },
            ],
            context: 8.0,
            rest: vec![],
            link_from: Some(0.0),
            guard: None,
        }
    }

    #[test]
    fn a_waterfall_ends_where_the_match_weight_is() {
        let steps = steps(&link());
        let last = steps.last().unwrap();
        assert!((last.from + last.bits - 4.0).abs() < 1e-9);
        let text = text(&link());
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("+10.5") && text.contains("-12.0"), "{text}");
    }

    #[test]
    fn what_is_no_field_stands_by_itself_and_a_guard_says_why_it_asks_for_more() {
        let part = |what, bits| RestReport { what, bits };
        let rest = vec![part(Rest::Relatives, -9.0), part(Rest::OnlyCandidates, 17.0)];
        let guard = Some("twins look like this".to_owned());
        let doubtful = LinkReport { rest, guard, link_from: Some(2.0), ..link() };
        let parts = steps(&doubtful);
        let names: Vec<&str> = parts.iter().skip(3).map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["relatives look like this", "no other candidate"]);
        let last = parts.last().unwrap();
        assert!((last.from + last.bits - 4.0).abs() < 1e-9);
        // Also where that is too little for a guard.
        let short = LinkReport { bits: None, link_from: Some(5.0), ..doubtful.clone() };
        assert_eq!(short.total(), doubtful.bits);
        assert!(text(&short).contains("+4.0  bits: link from 5 on, as twins look like this"));
        let text = text(&doubtful);
        assert!(text.ends_with("+4.0  bits: link from 2 on, as twins look like this\n"), "{text}");
        assert!(svg(&[doubtful]).contains("a link from 2 on, as twins look like this"));
    }

    #[test]
    fn a_pair_that_its_pattern_decided_shows_no_other_pairs_fields() {
        let link = LinkReport { by_pattern: true, fields: vec![], context: 16.0, ..link() };
        let text = text(&link);
        assert!(text.contains("decided by the pattern of its match-keys"), "{text}");
        assert!(!text.contains("level"), "{text}");
        let last = steps(&link).pop().unwrap();
        assert!((last.from + last.bits - 4.0).abs() < 1e-9);
        assert!(svg(&[link]).contains("by the pattern of its match-keys"));
    }

    #[test]
    fn a_pair_that_was_looked_at_for_the_alert_shows_its_own_fields() {
        // 4 bits by the pattern, and 4 - 8 + 11.5 by its fields.
        let link = LinkReport { by_pattern: true, looked_at: Some(7.5), context: 11.5, ..link() };
        let last = steps(&link).pop().unwrap();
        assert!((last.from + last.bits - 7.5).abs() < 1e-9);
        let text = text(&link);
        assert!(text.contains("+4.0 and more") && text.contains("level 3"), "{text}");
        assert!(text.trim_end().ends_with("+7.5  bits: link from 0 on"), "{text}");
        assert!(svg(&[link]).contains("; looked at, +7.5"));
    }

    #[test]
    fn a_picture_has_a_bar_for_each_step_and_is_well_formed() {
        let svg = svg(&[link(), LinkReport { bits: None, link_from: None, ..link() }]);
        assert_eq!(svg.matches("<rect x=").count(), 8);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("joined by other records"));
        // A title belongs to what it stands in.
        assert_eq!(svg.matches("<g><title>police – housing").count(), 2);
        assert_eq!(svg.matches("</g>").count(), 2);
        assert_eq!(svg.matches("match weight; a link from 0 on").count(), 1);
        assert!(svg.contains(">shared: surname+birth</text>"));
    }
}
