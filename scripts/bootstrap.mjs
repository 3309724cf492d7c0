// The first thing that `npm start` and `npm test` run, under whatever Node is installed. It must parse on very old
// ones to be able to say that they are too old: no static imports, no recent syntax.
const MINIMUM_NODE = 20;

if (parseInt(process.versions.node, 10) < MINIMUM_NODE) {
  console.error(
    'Rind needs Node.js ' +
      MINIMUM_NODE +
      ' or newer to install itself; this is ' +
      process.version +
      '.',
  );
  process.exitCode = 1;
} else {
  void import('./bootstrap/run.mjs').then(function (bootstrap) {
    return bootstrap.run(process.argv.slice(2));
  });
}
