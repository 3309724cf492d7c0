import { deployProcesses } from '../histories/processes.js';
import { describeHistories } from '../histories/suite.js';

// What only real processes and a real restart can show; each costs about a second.
describeHistories({
  title: 'two processes, a PostgreSQL that restarts and crashes',
  deploy: deployProcesses,
  count: 15,
  outagePercent: 50,
  mustCrash: true,
});
