'use strict';

/**
 * Bradley–Terry scores by Hunter's minorization (Annals of Statistics 32, 2004), in Elo's unit, their
 * mean 0. Each model also has one tie with an average one: without it, one that was never chosen
 * would have no finite score.
 * `votes` are [winner, loser, isTie].
 */
function rateModels(models, votes) {
  const place = new Map(models.map((name, number) => [name, number]));
  const wins = models.map(() => 0.5), pairs = models.map(() => models.map(() => 0));
  for (const [winner, loser, isTie] of votes) {
    const [a, b] = [place.get(winner), place.get(loser)];
    wins[a] += isTie ? 0.5 : 1;
    wins[b] += isTie ? 0.5 : 0;
    pairs[a][b] += 1;
    pairs[b][a] += 1;
  }
  let strengths = models.map(() => 1);
  for (let round = 0; round < 10000; round += 1) {
    const next = strengths.map((own, a) => {
      const met = strengths.reduce((sum, other, b) => sum + pairs[a][b] / (own + other), 0);
      return wins[a] / (met + 1 / (own + 1));
    });
    const change = Math.max(...next.map((value, a) => Math.abs(Math.log(value / strengths[a]))));
    strengths = next;
    if (change < 1e-10) break;
  }
  const scores = strengths.map((value) => 400 * Math.log10(value));
  const mean = scores.reduce((sum, value) => sum + value, 0) / scores.length;
  return scores.map((value) => value - mean);
}
