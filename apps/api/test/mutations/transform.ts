import swcJest from '@swc/jest';
import { mutate } from './mutations.ts';

type Transformer = ReturnType<typeof swcJest.createTransformer>;
type Cached = Required<Pick<Transformer, 'getCacheKey' | 'process' | 'processAsync'>>;

/** Instead of `@swc/jest` while RIND_MUTATION names a mutation: changes the sources on their way into the test. */
const transform = {
  createTransformer(options: Parameters<typeof swcJest.createTransformer>[0]): Cached {
    const original = swcJest.createTransformer(options) as Cached;
    const change = (text: string, path: string) =>
      mutate(process.env['RIND_MUTATION'] ?? '', path, text);
    return {
      getCacheKey: (text, path, ...rest) => original.getCacheKey(change(text, path), path, ...rest),
      process: (text, path, ...rest) => original.process(change(text, path), path, ...rest),
      processAsync: (text, path, ...rest) =>
        original.processAsync(change(text, path), path, ...rest),
    };
  },
};
// What Jest takes from a transformer.
// eslint-disable-next-line import/no-default-export
export default transform;
