use super::*;
use crate::store::Store;

fn rows(first: u8, count: usize) -> Rows {
    let mut rows = Rows::default();
    for n in 0..count {
        let byte = first.wrapping_add(n as u8);
        let key = (MatchKeyKind::SurnameBirth, 1, [byte; 16]);
        let born = Day::new(1980, 1, 1).filter(|_| n % 2 == 0);
        rows.push(PersonFlags(PersonFlags::NHS), born, vec![byte; 3], &[key]);
    }
    rows
}

#[tokio::test]
async fn rows_fill_one_segment_and_go_on_in_the_next() {
    let store = Store::in_memory().await;
    let mut conn = store.read().await.unwrap();
    assert_eq!(append(&mut conn, rows(1, 4095)).await.unwrap(), 0);
    assert_eq!(append(&mut conn, rows(7, 3)).await.unwrap(), 4095);
    assert_eq!(next_row(&mut conn).await.unwrap(), 4098);

    let keys = keys(&mut conn, 1, MatchKeyKind::SurnameBirth).await.unwrap();
    let slots = MatchKeyKind::SurnameBirth.slots();
    assert_eq!(keys.len(), 2 * slots * KEY_BYTES);
    assert_eq!(keys[KEY_BYTES..2 * KEY_BYTES], [8; 16], "slot 1 of the first row");
    assert_eq!(keys[..KEY_BYTES], [0; 16], "no key in slot 0");
    let packed = packed_sketches(&mut conn, 0).await.unwrap();
    let last: Vec<_> = sketches(&packed).skip(4094).collect();
    assert_eq!(last, [&[255u8; 3][..], &[7; 3]]);
    let born = born(&mut conn).await.unwrap();
    assert_eq!((born.len(), born[4095], born[4096]), (4098, Day::new(1980, 1, 1), None));
    let some = born_of(&mut conn, &[4096, 4095, 9999]).await.unwrap();
    assert_eq!(some, HashMap::from([(4095, Day::new(1980, 1, 1).unwrap())]));
    let some = states_of(&mut conn, &[9999, 4097]).await.unwrap();
    assert_eq!(some, HashMap::from([(4097, PersonFlags::NHS | ALIVE)]));
}

#[tokio::test]
async fn a_retired_row_keeps_its_keys_and_loses_its_person() {
    let store = Store::in_memory().await;
    let mut conn = store.read().await.unwrap();
    append(&mut conn, rows(1, 3)).await.unwrap();
    retire(&mut conn, &[1]).await.unwrap();
    let states = states(&mut conn).await.unwrap();
    let alive: Vec<bool> = states.iter().map(|state| state & ALIVE != 0).collect();
    assert_eq!(alive, [true, false, true]);
}

#[tokio::test]
async fn columns_of_another_version_are_emptied_and_go_on_in_step() {
    let store = Store::in_memory().await;
    let mut conn = store.read().await.unwrap();
    append(&mut conn, rows(1, 5)).await.unwrap();
    // One kind was not there, one had a slot less, and one is there no more.
    for sql in [
        "delete from segment where column_kind = 256 + 56",
        "update segment set body = zeroblob(160) where column_kind = 256 + 4",
        "insert into segment values (0, 256 + 65, 5, zeroblob(80))",
    ] {
        sqlx::query(sql).execute(&mut *conn).await.unwrap();
    }
    blank(&mut conn).await.unwrap();
    append(&mut conn, rows(9, 2)).await.unwrap();
    for kind in MatchKeyKind::ALL {
        let column = keys(&mut conn, 0, *kind).await.unwrap();
        let mut expected = vec![0; 7 * kind.slots() * KEY_BYTES];
        if *kind == MatchKeyKind::SurnameBirth {
            let slot = |row: usize| (row * kind.slots() + 1) * KEY_BYTES;
            expected[slot(5)..slot(5) + KEY_BYTES].fill(9);
            expected[slot(6)..slot(6) + KEY_BYTES].fill(10);
        }
        assert_eq!(column, expected, "{kind}");
    }
    let kinds: i64 = sqlx::query_scalar("select count(*) from segment where column_kind >= 256")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(kinds, MatchKeyKind::COUNT as i64);
}
