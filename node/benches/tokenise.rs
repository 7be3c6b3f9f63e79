//! What a node does for each person: match-keys at ingest, comparisons when asked.

use std::hint::black_box;

use aes::{Aes128, cipher::KeyInit};
use causeway_node::tokenise::{
    compare::Comparer,
    profile::{Birth, Profile, Sounded},
    recipe::{MatchKeys, match_keys},
    sketch::{self, Sketch},
};
use causeway_proto::{kind::MatchKeyKind, linkage::levels::Levels};
use criterion::{Criterion, criterion_group, criterion_main};

fn person() -> Profile {
    let sounded = |text: &str, sound: &str| Sounded { text: text.into(), sound: sound.into() };
    Profile {
        forenames: vec![sounded("kieran", "KRN")],
        surnames: vec![sounded("price", "PRS")],
        surname_ends: ["price".into(), "price".into()],
        middle: "james".into(),
        births: vec![Birth { year: Some(2008), month: Some(11), day: Some(20) }],
        sex: "m".into(),
        postcode: "zx14ab".into(),
        sector: "zx14".into(),
        house: "14".into(),
        street: "larkrisecl".into(),
        phone: "632960123".into(),
        ..Profile::default()
    }
}

fn tokenise(criterion: &mut Criterion) {
    let person = person();
    let keys = MatchKeys::new(&[[7; 32]; MatchKeyKind::COUNT], [0; 32]);
    criterion.bench_function("match-keys of a person", |bencher| {
        bencher.iter(|| match_keys(&keys, black_box(&person), |_, _, key| _ = black_box(key)));
    });
    criterion.bench_function("sketch of a person", |bencher| {
        bencher.iter(|| sketch::encode(black_box(&person)));
    });
    let cipher = Aes128::new(&[9; 16].into());
    let mut comparer = Comparer::new(&cipher);
    let packed = sketch::encode(&person);
    criterion.bench_function("comparison of a person", |bencher| {
        bencher.iter(|| {
            let sketch = Sketch::read(black_box(&packed)).expect("it was packed just now");
            comparer.compare(&[5; 16], 1, &sketch)
        });
    });
    let sketch = Sketch::read(&packed).expect("it was packed just now");
    let [a, b] = [1, 2].map(|salt| comparer.compare(&[salt; 16], 1, &sketch));
    criterion.bench_function("levels of a pair", |bencher| {
        bencher.iter(|| Levels::of(black_box(&a), black_box(&b)));
    });
}

criterion_group!(benches, tokenise);
criterion_main!(benches);
