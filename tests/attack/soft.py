"""Soft graph matching (PRIVACY.md 4, `graph_attack`) on what the coordinator of a real sweep received.

soft.py SEEN.txt EXPORTS      (needs numpy and scipy; minutes for 20,000 records)

SEEN.txt is written by `town attack EXPORTS --seen SEEN.txt`. The attacker holds the register of the largest agency, swept in a town
of its own: the same features over records of their own. Votes are kept for the 30 likeliest people of a record, which is where the
original sharpens to, so that a register of 20,000 fits in memory.
"""
import argparse, csv, glob, json, os
from collections import Counter
import numpy as np, scipy.sparse as sp

TOP = 30

def read(path, folder):
    sides = {"seen": [], "register": []}
    agencies = sorted(glob.glob(os.path.join(folder, "*.csv")))
    truth = [{r["local_id"]: r["truth_id"] for r in csv.DictReader(open(f))} for f in agencies]
    for line in open(path):
        side, agency, person, key, flags, *rest = line.rstrip("\n").split(",")
        tokens, look, rarity = [], [], []
        for field in rest:
            head, *tail = field.split(".")
            if head == "look": look.append((int(tail[0]), int(tail[1])))
            elif head == "rarity": rarity.append(int(tail[0]))
            else: tokens.append((int(head), tail[0]))
        sides[side].append(dict(agency=int(agency), person=person, key=key, flags=int(flags, 16), tokens=tokens, look=look, rarity=rarity))
    return sides, truth

def index(view, kinds):
    out = {}
    for kd in kinds:
        vals, rows, cols = {}, [], []
        count = Counter(v for r in view for k, v in r["tokens"] if k == kd)
        for i, r in enumerate(view):
            for k, v in r["tokens"]:
                # A token of one record says nothing: it may be filling.
                if k == kd and count[v] > 1:
                    rows.append(i); cols.append(vals.setdefault(v, len(vals)))
        M = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, cols)), (len(view), max(1, len(vals))))
        M.data[:] = 1
        out[kd] = M
    return out

def features(I):
    freq = {k: np.asarray(M.sum(0)).ravel() for k, M in I.items()}; F = {}
    for k, M in I.items():
        cols = [np.log1p(freq[k])]
        for j, N in I.items():
            if j == k: continue
            C = (M.T @ N).tocsr()
            cols.append(np.log1p(np.diff(C.indptr)))
            cols.append(C @ np.log1p(freq[j]) / np.maximum(freq[k], 1))
            mx = C.copy(); mx.data = np.log1p(freq[j])[mx.indices]; cols.append(mx.max(1).toarray().ravel())
            cols.append(C.max(1).toarray().ravel() / np.maximum(freq[k], 1))
        F[k] = np.stack(cols, 1)
    return F, freq

def rec_features(view, I, F, looks):
    out = []
    for k, M in I.items(): out += [M @ F[k], np.asarray(M.sum(1)).ravel()[:, None]]
    out.append(np.array([[r["flags"] >> b & 1 for b in range(8)] for r in view]))
    if looks:
        out.append(np.array([[float(s > 0) for s, _ in r["look"]] or [0.] * 16 for r in view]))
        out.append(np.array([[float(r["rarity"][0] == c) for c in (0, 1)] if r["rarity"] else [0.] * 2 for r in view]))
    return np.concatenate(out, 1)

def spread(S, it):
    for _ in range(it):
        S = sp.diags(1 / (np.asarray(S.sum(1)).ravel() + 1e-12)) @ S
        S = S @ sp.diags(1 / (np.asarray(S.sum(0)).ravel() + 1e-12))
    return S.tocsr()

def nearest(XT, XA, block=1000):
    rows, cols, vals, best = [], [], [], []
    a2 = (XA ** 2).sum(1)[None]
    for at in range(0, len(XT), block):
        d = (XT[at:at + block] ** 2).sum(1)[:, None] + a2 - 2 * XT[at:at + block] @ XA.T
        # ties in random order: structurally identical people must not be favoured by their place
        d += np.random.default_rng(at).random(d.shape, dtype=np.float32) * 1e-4
        top = np.argpartition(d, TOP, axis=1)[:, :TOP]
        rows.append(np.repeat(np.arange(at, at + len(d)), TOP)); cols.append(top.ravel())
        vals.append(np.take_along_axis(d, top, 1).ravel()); best.append(d.min(1))
    d = np.concatenate(vals); scale = np.median(np.concatenate(best)) + 1e-6
    d = d / scale; low = np.repeat(np.concatenate(best) / scale, TOP)
    P = np.exp(-np.clip(d - low, 0, 60)).astype(np.float32)
    return sp.csr_matrix((P, (np.concatenate(rows), np.concatenate(cols))), (len(XT), len(XA)))

def attack(T_, A_, looks, known, iters=12, tau0=4.0, tau1=25.0):
    kinds = sorted({k for r in T_ for k, _ in r["tokens"]} & {k for r in A_ for k, _ in r["tokens"]})
    T, A = index(T_, kinds), index(A_, kinds); FT, _ = features(T); FA, fA = features(A)
    XT, XA = rec_features(T_, T, FT, looks), rec_features(A_, A, FA, looks)
    mu, sd = XA.mean(0), XA.std(0) + 1e-6; sd[XA.std(0) == 0] = 1e6
    XT, XA = ((XT - mu) / sd).astype(np.float32), ((XA - mu) / sd).astype(np.float32)
    S0 = spread(nearest(XT, XA), 10); S = S0
    fix_t = np.array(list(known), int); fix_a = np.array([known[t] for t in fix_t], int)
    keep_t, keep_a = np.ones(S.shape[0]), np.ones(S.shape[1]); keep_t[fix_t] = 0; keep_a[fix_a] = 0
    fixed = sp.csr_matrix((np.ones(len(fix_t), np.float32), (fix_t, fix_a)), S.shape)
    for it in range(iters):
        S = sp.diags(keep_t) @ S @ sp.diags(keep_a) + fixed
        R = sp.csr_matrix(S.shape, dtype=np.float32)
        for k in kinds:
            M = (T[k].T @ S @ A[k]).tocsr()
            rs, cs = np.asarray(M.sum(1)).ravel(), np.asarray(M.sum(0)).ravel()
            G = (sp.diags(1 / (rs + 1e-6)) @ M).multiply(M @ sp.diags(1 / (cs + 1e-6))).sqrt()
            idf = np.log(len(A_) / np.maximum(fA[k], 1)); G = G @ sp.diags(idf / (idf.max() + 1e-6))
            R = R + T[k] @ G.tocsr() @ A[k].T
        R = R + (S0 * .02 if it < 2 else S0 * 1e-3)
        R = R.tocsr(); R.eliminate_zeros()
        tau = tau0 * (tau1 / tau0) ** (it / max(1, iters - 1)); top = R.data.max() + 1e-6
        low = np.repeat(R.max(1).toarray().ravel(), np.diff(R.indptr))
        R.data = np.exp(tau * (R.data - low) / top * 3).astype(np.float32)
        # keep the strongest candidates only
        for i in range(R.shape[0]):
            a, b = R.indptr[i], R.indptr[i + 1]
            if b - a > TOP:
                cut = np.partition(R.data[a:b], b - a - TOP)[b - a - TOP]; R.data[a:b][R.data[a:b] < cut] = 0
        R.eliminate_zeros(); S = spread(R, 6)
    S.data += np.random.default_rng(0).random(len(S.data)) * 1e-9
    return np.asarray(S.argmax(1)).ravel()

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("seen"); ap.add_argument("folder"); o = ap.parse_args()
    sides, truth = read(o.seen, o.folder)
    largest = max(range(len(truth)), key=lambda a: len(truth[a])); rng = np.random.default_rng(1)
    T = [r for r in sides["seen"] if r["agency"] == largest]; A = sides["register"]
    T = [T[i] for i in rng.permutation(len(T))]; place = {r["key"]: i for i, r in enumerate(A)}
    t = np.array([place.get(r["key"], -1) for r in T]); out = {"records": len(T), "register": len(A), "random": 1 / len(A)}
    for label, looks in (("without_second_looks", False), ("with_second_looks", True)):
        for share in (0, .01, .1):
            pick = [i for i in np.random.default_rng(1).permutation(len(T)) if t[i] >= 0][:int(share * len(T))]
            known = {int(i): int(t[i]) for i in pick}
            g = attack(T, A, looks, known); ok = np.array([i not in known and t[i] >= 0 for i in range(len(T))])
            out[f"{label}_{share:.0%}_known"] = round(float((g == t)[ok].mean()), 5); print(label, share, out[f"{label}_{share:.0%}_known"], flush=True)
    print(json.dumps(out))
main()
