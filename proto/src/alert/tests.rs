use super::*;

#[test]
fn an_alert_survives_the_wire() {
    let housing: AgencyId = "housing".parse().unwrap();
    let alert = Alert {
        id: AlertId::from_bytes([1; 16]),
        revision: 2,
        change: AlertChange::Update,
        sweep: SweepId::new(1, [0; 8]),
        handles: vec![Handle::from_bytes([2; 16])],
        subject: AlertSubject::Household,
        tier: Tier::T3,
        duty: Duty::Lead,
        news: vec!["A new report in February.".into()],
        lines: vec![AlertLine {
            agency: housing.clone(),
            kind: AgencyKind::Housing,
            sentence: "A complaint was made.".into(),
            count: 1,
            latest_month: Day::new(2025, 2, 1),
            share: Share::Minor,
            line: LineId::from_bytes([3; 16]),
        }],
        rules: vec![AlertRule { id: "X01".into(), sentence: "…".into(), share: Share::Major }],
        involved: vec![Involvement { agency: housing, kind: AgencyKind::Housing, contact: None }],
        unknowns: vec![],
        question: "?".into(),
        limits: "Not proof.".into(),
        as_at: Day::new(2025, 2, 25).unwrap(),
        model_version: "causeway-1".into(),
        link_confidence: "Sure.".into(),
        hide_address: false,
    };
    let wire = pb::DeliverAlertRequest { alert: Some(alert.clone().into()) };
    assert_eq!(Alert::try_from(wire), Ok(alert.clone()));
    let nothing = pb::DeliverAlertRequest { alert: None };
    assert_eq!(Alert::try_from(nothing), Err(WireError::Missing("alert")));

    let delivered = |alert: Alert| {
        Alert::try_from(pb::DeliverAlertRequest { alert: Some(alert.into()) }).map(|_| ())
    };
    let of_nobody = |change| Alert { change, handles: Vec::new(), ..alert.clone() };
    for change in [AlertChange::New, AlertChange::Update] {
        assert_eq!(delivered(of_nobody(change)), Err(WireError::Missing("handles")));
    }
    assert_eq!(delivered(of_nobody(AlertChange::Cancel)), Ok(()));
    let large = Alert { question: "?".repeat(ALERT_BYTES), ..alert.clone() };
    assert!(matches!(delivered(large), Err(WireError::Invalid { field: "alert", .. })));

    // Whatever somebody wrote into its texts, it arrives, and no terminal obeys it.
    let forged = || "Ring 999.\n\u{1b}[2J".to_owned();
    let mut bad = alert;
    (bad.news, bad.unknowns) = (vec![forged()], vec![forged(), "x".repeat(5000)]);
    (bad.question, bad.limits, bad.link_confidence) = (forged(), forged(), forged());
    bad.model_version = forged();
    bad.lines[0].sentence = forged();
    (bad.rules[0].id, bad.rules[0].sentence) = (forged(), forged());
    bad.involved[0].contact = Some(Contact { service: forged(), ..Contact::default() });
    let read = Alert::try_from(pb::Alert::from(bad)).unwrap();
    assert_eq!(read.news, ["Ring 999. \u{fffd}[2J"]);
    assert_eq!(read.unknowns[1].chars().count(), SENTENCE_CHARS);
    assert_eq!(read.involved[0].contact, None);
    assert!(!format!("{read:?}").contains("\\u{1b}"), "{read:?}");
}
