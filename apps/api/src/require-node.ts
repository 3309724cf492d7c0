/** The first thing that is loaded: what comes after it may fail on an older version without saying why. */
const MINIMUM_NODE = 24;

if (Number.parseInt(process.versions.node, 10) < MINIMUM_NODE) {
  process.stderr.write(
    `Rind needs Node.js ${MINIMUM_NODE} or newer; this is ${process.versions.node}. npm start brings its own.\n`,
  );
  process.exit(1);
}
