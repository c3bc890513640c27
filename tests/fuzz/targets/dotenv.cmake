kms_fuzz(fuzz-dotenv SOURCES fuzz_dotenv.c LINK kms-env-parts)
