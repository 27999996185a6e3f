// The search lists what helps with a task first, decisions and the project's history last, and a page with
// the words in its title before one with the words in its text.
const asked = (new URLSearchParams(location.search).get("q") ?? "").toLowerCase().split(/\s+/);
var Scorer = {
  score: ([page, title, , , score]) => {
    const named = asked.filter((word) => title.toLowerCase().includes(word)).length;
    const helps = /^docs\/(start|how-to|runbooks)\//.test(page);
    const history = /^(docs\/decisions\/|CHANGELOG)/.test(page);
    return score + 10 * named + 10 * helps - 100 * history;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
