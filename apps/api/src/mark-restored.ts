// `pnpm db:mark-restored` in the image.
import '@rind/database/restored/cli';
