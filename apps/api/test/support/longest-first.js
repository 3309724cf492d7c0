import Sequencer from '@jest/test-sequencer';

/** Jest knows no durations in a fresh clone, and begins with large files: this small one would run last, and alone. */
const LONGEST = '/histories.e2e-spec.ts';

export default class LongestFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    const isLongest = ({ path }) => path.endsWith(LONGEST);
    return [...sorted.filter(isLongest), ...sorted.filter((test) => !isLongest(test))];
  }
}
