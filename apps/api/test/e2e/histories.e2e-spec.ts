import { deployInProcess } from '../histories/in-process.js';
import { describeHistories } from '../histories/suite.js';

// Rare outages: everything connects anew after one.
describeHistories({
  title: 'two instances in one process',
  deploy: deployInProcess,
  count: 200,
  outagePercent: 5,
});
