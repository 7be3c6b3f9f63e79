"""From scored pairs of records to persons, in the two ways that the table shows."""

import heapq


def components(records, pairs):
    """Joins whatever is connected. Returns a label for each record."""
    parent = list(range(records))

    def root(at):
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for a, b in pairs:
        parent[root(a)] = root(b)
    return [root(at) for at in range(records)]


def constrained(records, scored, agency, once, absent=-2.0, most=12.0):
    """Average link over `scored` triples (a, b, weight in bits), best first, so that one false pair
    cannot chain two people together, and never two records of an agency that holds people `once`.

    A pair that nobody scored counts `absent`; a weight counts at most `most` either way. This is the
    idea of Causeway's own clustering, given to a peer's weights.
    """
    size = [1] * records
    alive = [True] * records
    closed = [{agency[at]} if once[at] else set() for at in range(records)]
    members = {}
    # By cluster: its neighbours, each with the sum of the weights and how many there are.
    edges = {}
    queue = []
    for a, b, weight in scored:
        weight = max(-most, min(most, weight))
        edges.setdefault(a, {})[b] = edges.setdefault(b, {})[a] = (weight, 1)
        if weight >= 0:
            queue.append((-weight, a, b, 1, 1))
    heapq.heapify(queue)
    while queue:
        _, a, b, size_a, size_b = heapq.heappop(queue)
        stale = not (alive[a] and alive[b]) or size[a] != size_a or size[b] != size_b
        if stale or closed[a] & closed[b]:
            continue
        if len(edges[a]) < len(edges[b]):
            a, b = b, a
        mine, theirs = edges[a], edges.pop(b)
        mine.pop(b, None)
        theirs.pop(a, None)
        alive[b] = False
        size[a] += size[b]
        closed[a] |= closed[b]
        members.setdefault(a, [a]).extend(members.pop(b, [b]))
        for other, (total, count) in theirs.items():
            edges[other].pop(b, None)
            before, known = mine.get(other, (0.0, 0))
            mine[other] = edges[other][a] = (before + total, known + count)
        for other, (total, count) in mine.items():
            everything = size[a] * size[other]
            mean = (total + absent * (everything - count)) / everything
            if mean >= 0:
                heapq.heappush(queue, (-mean, a, other, size[a], size[other]))
    labels = list(range(records))
    for label, inside in members.items():
        for at in inside:
            labels[at] = label
    return labels
