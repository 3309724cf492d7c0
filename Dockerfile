# docker build --build-arg IMAGE_COMMIT="$(git rev-parse HEAD)" --tag rind .

# May be named otherwise, for a registry of one's own.
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS pnpm
# As package.json names it.
RUN npm install --global pnpm@12.21.0
ENV CI=true PNPM_HOME=/pnpm
WORKDIR /rind

# What runs in production, in the layout of the repository. Nothing of it is optional.
FROM pnpm AS dependencies
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY prisma/package.json prisma/
COPY packages/contracts/package.json packages/contracts/
COPY packages/emails/package.json packages/emails/
COPY apps/api/package.json apps/api/
RUN --mount=type=cache,id=pnpm,target=/pnpm/store \
    pnpm install --frozen-lockfile --prod --no-optional --ignore-scripts --filter '@rind/api...'
# Prisma's compilers for other databases, and what only compilers and debuggers read.
RUN find node_modules -type f '(' \
      -name 'query_compiler_*.cockroachdb.*' -o -name 'query_compiler_*.mysql.*' -o \
      -name 'query_compiler_*.sqlite.*' -o -name 'query_compiler_*.sqlserver.*' -o \
      -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \
    ')' -delete

FROM pnpm AS build
COPY . .
RUN --mount=type=cache,id=pnpm,target=/pnpm/store \
    pnpm install --frozen-lockfile --ignore-scripts --filter rind --filter '@rind/api...'
RUN node scripts/build.ts apps/api
RUN find apps/api/dist packages/*/dist prisma/dist -type f \
      '(' -name '*.map' -o -name '*.d.ts' -o -name '*.tsbuildinfo' ')' -delete

FROM ${BASE_IMAGE}
ENV NODE_ENV=production
WORKDIR /rind/apps/api
# An empty named volume takes the owner of the folder that it is mounted on; backups are written there.
RUN install --directory --owner=1000 --group=1000 --mode=700 /backups
# From what changes seldom to what changes with every commit.
COPY --from=dependencies /rind /rind
COPY --from=build /rind/prisma/migrations /rind/prisma/migrations
COPY --from=build /rind/prisma/dist /rind/prisma/dist
COPY --from=build /rind/packages/contracts/openapi.json /rind/packages/contracts/openapi.json
COPY --from=build /rind/packages/contracts/dist /rind/packages/contracts/dist
COPY --from=build /rind/packages/emails/dist /rind/packages/emails/dist
COPY --from=build /rind/apps/api/dist /rind/apps/api/dist
# The user `node` of the base, by number, so that a cluster can tell that it is not root.
USER 1000:1000
EXPOSE 3000
# It may wait for ten minutes until another one has migrated. What answers is healthy at once.
HEALTHCHECK --interval=10s --timeout=5s --start-period=11m --retries=3 \
  CMD ["node", "dist/healthcheck.js"]
CMD ["node", "dist/main.js"]
ARG IMAGE_COMMIT=
ENV IMAGE_COMMIT=${IMAGE_COMMIT}
LABEL org.opencontainers.image.title="Rind" \
      org.opencontainers.image.description="Self-hosted backend for offline-first apps: WatermelonDB sync, sign-in and users over PostgreSQL" \
      org.opencontainers.image.base.name="docker.io/library/node:24-bookworm-slim" \
      org.opencontainers.image.revision="${IMAGE_COMMIT}"
